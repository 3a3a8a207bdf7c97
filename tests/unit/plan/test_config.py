from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from unblend.core.errors import ConfigError
from unblend.plan.config import ASTROMETRY_DEFAULTS, Band, Config, load_config

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
BAND_KEYS = SCHEMA["$defs"]["band"]["properties"]

MINIMAL = {
    "target": {"ra": 53.0, "dec": -27.8},
    "detection": {"bands": ["f125w", "f160w"]},
    "models": {"psf": "f160w"},
    "bands": {
        "f125w": {"image": "f125w.fits", "psf": "psf.fits"},
        "f160w": {"image": "sub/f160w_drz.fits.gz[SCI]", "psf": "psf.fits"},
        "irac-ch1": {"image": "irac.fits", "psf": "psf1.fits", "zero_point": 21.58},
    },
}


def load(*edits):
    """Load the minimal configuration after edits (dotted key, value); the value `...` drops the key."""
    raw = copy.deepcopy(MINIMAL)
    for key, value in edits:
        *path, last = key.split("/")
        place = raw
        for part in path:
            place = place.setdefault(part, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return load_config(raw, SCHEMA)


def keys_of(schema, prefix=""):
    """Yield every dotted key of the schema below `prefix`."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    for branch in schema.get("oneOf", [schema]):
        for key, sub in branch.get("properties", {}).items():
            yield prefix + key, sub
            yield from keys_of(sub, f"{prefix}{key}.")
        if isinstance(branch.get("additionalProperties"), dict):
            yield from keys_of(branch["additionalProperties"], f"{prefix}*.")


# Defaults -----------------------------------------------------------------------------------------------------------


def test_defaults_are_the_public_ones():
    config = load()
    assert isinstance(config, Config)
    d, m, b = config.detection, config.models, config.bands["irac-ch1"]
    assert (d.conv_fwhm, d.threshold, d.deblend_levels, d.deblend_contrast, d.min_area, d.min_snr) == (
        0.2,
        1.5,
        32,
        0.005,
        10,
        10,
    )
    assert (d.merge_regions, d.manual_regions) == ("merged_segments.reg", "det_manual.reg")
    assert (m.bad_regions, m.overrides_dir, m.custom_dir) == ("det_stack-bad.reg", "overrides", "custom_models")
    assert (m.gain, m.oversampling, m.timeout, m.batch_size) == (None, 5, 600, "auto")
    assert (b.psf_oversampling, b.psf_kind, b.rms, b.shift, b.background) == (
        1.0,
        "effective",
        "auto",
        [0.0, 0.0],
        None,
    )
    assert (b.mask_all_regions, b.sim_regions, b.astrometry, b.filter) == ("mask_all.reg", "auto", None, None)
    assert (config.results_dir, config.error_floor, config.example_seed) == ("results", 0.0, None)


def test_the_flux_band_is_the_last_detection_band_unless_named():
    assert load().detection.flux_band == "f160w"
    assert load(("detection/flux_band", "f125w")).detection.flux_band == "f125w"


def test_every_default_fits_its_own_schema():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(SCHEMA)
    with_default = [(key, sub) for key, sub in keys_of(SCHEMA) if "default" in sub]
    assert len(with_default) > 30
    for key, sub in with_default:
        problems = list(Draft202012Validator({**sub, "$defs": SCHEMA["$defs"]}).iter_errors(sub["default"]))
        assert not problems, f"{key}: {problems[0].message}"


def test_astrometry_defaults_are_those_of_the_schema():
    section = next(b for b in BAND_KEYS["astrometry"]["oneOf"] if b["type"] == "object")
    assert {key: sub["default"] for key, sub in section["properties"].items()} == ASTROMETRY_DEFAULTS


def test_shift_auto_brings_the_search():
    assert load(("bands/f125w/shift", "auto")).bands["f125w"].astrometry == ASTROMETRY_DEFAULTS
    band = load(("bands/f125w/astrometry", {"references": [12, 15]})).bands["f125w"]
    assert band.astrometry == {**ASTROMETRY_DEFAULTS, "references": [12, 15]}


def test_an_empty_section_has_its_defaults():
    assert load(("bands/f125w/background", {})).bands["f125w"].background == {"box": 15.0, "statistic": "median"}
    assert load(("bands/f125w/astrometry", {})).bands["f125w"].astrometry == ASTROMETRY_DEFAULTS


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ("w.fits", {"file": "w.fits", "kind": "weight"}),
        ({"file": "w.fits"}, {"file": "w.fits", "kind": "weight"}),
        ({"file": "w.fits", "kind": "rms"}, {"file": "w.fits", "kind": "rms"}),
        (None, None),
    ],
)
def test_weights(weight, expected):
    assert load(("bands/f125w/weight", weight)).bands["f125w"].weight == expected


def test_band_defaults_spread_and_a_band_overrules_them():
    config = load(("band_defaults", {"zero_point": 25.0, "background": {"box": 5.0}}), ("bands/f125w/zero_point", 26.2))
    assert [b.zero_point for b in config.bands.values()] == [26.2, 25.0, 21.58]
    assert all(band.background == {"box": 5.0, "statistic": "median"} for band in config.bands.values())


def test_band_defaults_are_not_shared():
    config = load(("band_defaults", {"background": {"box": 5.0}}))
    config.bands["f125w"].background["box"] = 9.0
    assert config.bands["f160w"].background["box"] == 5.0


def test_the_input_is_left_alone():
    raw = copy.deepcopy(MINIMAL)
    load_config(raw, SCHEMA)
    assert raw == MINIMAL


@pytest.mark.parametrize(
    ("image", "stem"),
    [("a/f160w_drz.fits.gz[SCI]", "f160w_drz"), ("m.fits.fz", "m"), ("v1.2.fit", "v1.2"), (None, "f125w")],
)
def test_stem(image, stem):
    edits = [("bands/f125w/image", image)]
    if image is None:
        edits += [("bands/f125w/mosaic", "https://x.org/big.fits"), ("bands/f125w/cutout_size", 60)]
    assert load(*edits).bands["f125w"].stem == stem


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ([("bands/f125w/psf_oversamplin", 2)], "f125w.psf_oversamplin is not a key: did you mean psf_oversampling?"),
        ([("detecton", {})], "detecton is not a key: did you mean detection?"),
        ([("models/gains", 2)], "models.gains is not a key: did you mean gain?"),
        ([("band_defaults", {"zeropoint": 25})], "bands.f125w.zeropoint is not a key: did you mean zero_point?"),
        ([("detection/threshold", 0)], "detection.threshold is 0: expected a number, above 0 (sigma of the smoothed"),
        ([("detection/threshold", "high")], "detection.threshold is 'high': expected a number"),
        ([("models/oversampling", 2.5)], "models.oversampling is 2.5: expected a whole number, at least 1, at most 20"),
        ([("bands/f125w/psf_kind", "sharp")], "bands.f125w.psf_kind is 'sharp': expected one of effective, optical"),
        ([("bands/f125w/background", {"box": -3})], "bands.f125w.background.box is -3: expected a number, above 0"),
        ([("bands/f125w/background", {"boxes": 3})], "bands.f125w.background.boxes is not a key: did you mean box?"),
        ([("bands/f125w/weight", {"kind": "rms"})], "bands.f125w.weight lacks file."),
        ([("bands/f125w/shift", [0.1])], "bands.f125w.shift is [0.1]: expected"),
        ([("bands/f125w/shift", "none")], "bands.f125w.shift is 'none': expected"),
        ([("bands/f125w/rms", 0)], "bands.f125w.rms is 0: expected"),
        ([("bands/f125w/astrometry", {"references": []})], "bands.f125w.astrometry.references is []: expected"),
        ([("models/batch_size", 0)], "models.batch_size is 0: expected"),
        ([("target", ...)], "the file lacks target."),
        ([("target/ra", ...)], "target lacks ra."),
        ([("target/ra", 400)], "target.ra is 400: expected a number, at least 0, below 360 (deg, ICRS)"),
        ([("target/dec", None)], "target.dec is None: expected a number"),
        ([("bands", {})], "bands is {}: expected"),
        ([("bands/a b", {"image": "a.fits", "psf": "p.fits"})], "bands.a b is no name for a band"),
        ([("bands/f125w", [1])], "bands.f125w is [1]: expected a section"),
        ([("detection/bands", ["f125"])], "detection.bands names 'f125', which is no band: did you mean f125w?"),
        ([("detection/flux_band", "f160")], "detection.flux_band names 'f160', which is no band: did you mean f160w?"),
        ([("detection/bands", [])], "detection.bands is []: expected"),
        ([("bands/f125w/image", ...)], "bands.f125w needs either image or mosaic."),
        ([("bands/f125w/mosaic", "m.fits")], "bands.f125w needs either image or mosaic."),
        ([("bands/f125w/image", ...), ("bands/f125w/mosaic", "m.fits")], "has a mosaic and needs cutout_size (arcsec)"),
        ([("bands/f125w/psf", ...)], "bands.f125w lacks psf."),
        ([("bands/f125w/astrometry", {"step": 0.5})], "astrometry.step is larger than max_shift"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(edits, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        load(*edits)
    assert "Traceback" not in str(caught.value) and str(caught.value).startswith("config.yaml: ")


def test_all_mistakes_at_once():
    with pytest.raises(ConfigError) as caught:
        load(("models/gains", 2), ("detection/threshold", -1), ("bands/f160w/rms", -2))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 and all("expected" in line or "not a key" in line for line in lines)


@pytest.mark.parametrize(
    "raw", [None, [], "text", {"bands": None}, {"bands": ["a"]}, {**MINIMAL, "bands": {"a": None}}]
)
def test_a_file_that_is_something_else(raw):
    with pytest.raises(ConfigError, match=r"^config.yaml: "):
        load_config(raw, SCHEMA)


# In step ------------------------------------------------------------------------------------------------------------


def test_every_key_has_a_description():
    groups = {"detection", "models", "catalogue"}
    missing = [key for key, sub in keys_of(SCHEMA) if "description" not in sub and key not in groups]
    assert not missing


def test_unknown_keys_are_errors_everywhere():
    def sections(schema):
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                yield schema
            for sub in schema.values():
                yield from sections(sub)
        elif isinstance(schema, list):
            for sub in schema:
                yield from sections(sub)

    closed = [s for s in sections(SCHEMA) if "properties" in s]
    assert len(closed) >= 8 and all(s.get("additionalProperties") is False for s in closed)


def test_the_dataclass_holds_the_keys_of_the_schema():
    import dataclasses

    assert {f.name for f in dataclasses.fields(Band)} == {"name", *BAND_KEYS}


def test_config_yaml_shows_every_key():
    path = ROOT / "config.yaml"
    if not path.exists():
        pytest.skip("this copy has no config.yaml")
    text = path.read_text()
    raw = yaml.safe_load(text)
    load_config(raw, SCHEMA)
    # a key is shown when it is set or stands in a comment
    missing = sorted({key.rsplit(".", 1)[-1] for key, _ in keys_of(SCHEMA)} - set(re.findall(r"[A-Za-z_]+", text)))
    assert not missing, f"config.yaml does not explain {missing}"


def test_the_conda_environment_holds_the_packages_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "envs" / "unblend.yaml").read_text())
    by_pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    # Snakemake itself runs outside the environment of its jobs; GalSim draws the example field
    needed = {p for p in project["dependencies"] if not p.startswith("snakemake")}
    extra = set(by_pip) - needed
    assert needed <= set(by_pip), f"envs/unblend.yaml lacks {sorted(needed - set(by_pip))}"
    assert extra <= set(project["optional-dependencies"]["example"]), f"envs/unblend.yaml has {sorted(extra)} more"
