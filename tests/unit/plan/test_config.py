from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_config import MINIMAL, load
from unblend.core.errors import ConfigError
from unblend.plan.config import Background, Band, Config, ShiftSearch, Weight, config_schema, load_config

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = config_schema()


def sections():
    """Yield the name and schema of every section of the file."""
    yield "", SCHEMA
    yield from SCHEMA["$defs"].items()


def keys():
    """Return the schema of every key by its section and name."""
    return {f"{name}.{key}": place for name, section in sections() for key, place in section["properties"].items()}


# Defaults -----------------------------------------------------------------------------------------------------------


def test_defaults_are_the_public_ones():
    config = load()
    assert isinstance(config, Config)
    d, m, b = config.detection, config.models, config.bands["irac-ch1"]
    assert (d.conv_fwhm, d.threshold, d.deblend_levels, d.deblend_contrast) == (0.2, 1.5, 32, 0.005)
    assert (d.min_area, d.min_snr, d.merge_regions, d.manual_regions) == (
        10,
        10,
        "merged_segments.reg",
        "det_manual.reg",
    )
    assert (d.segmentation, d.catalogue) == (None, None)
    assert (m.bad_regions, m.overrides_dir, m.custom_dir) == ("det_stack-bad.reg", "overrides", "custom_models")
    assert (m.gain, m.oversampling, m.timeout, m.batch_size) == (None, 5, 600, "auto")
    assert m.refine == "exact"
    assert (b.psf_oversampling, b.psf_kind, b.rms, b.shift) == (1.0, "effective", "auto", [0.0, 0.0])
    assert b.saturation is None and b.psf_error == 0.0
    assert (b.psf_sum, b.psf_centre, m.psf_centre) == ("unit", "centroid", "centroid")
    assert (b.background, b.mask_all_regions, b.sim_regions) == (None, "mask_all.reg", "auto")
    assert (b.astrometry, b.filter, b.weight) == (None, None, None)
    assert (config.data_dir, config.results_dir, config.error_floor, config.example_seed) == (".", "results", 0.0, None)


def test_the_flux_band_is_the_last_detection_band_unless_named():
    assert load().detection.flux_band == "f160w"
    assert load(("detection/flux_band", None)).detection.flux_band == "f160w"
    assert load(("detection/flux_band", "f125w")).detection.flux_band == "f125w"


def test_shift_auto_brings_the_search():
    for shift in ("auto", {"field": "auto"}):
        band = load(("bands/f125w/shift", shift)).bands["f125w"]
        assert band.astrometry == ShiftSearch() and band.is_shift_measured
    assert not load(("bands/f125w/shift", [0.1, 0.0])).bands["f125w"].is_shift_measured
    band = load(("bands/f125w/astrometry", {"references": [12, 15]})).bands["f125w"]
    assert band.astrometry == ShiftSearch(references=[12, 15], radius=1.5, step=0.03, max_shift=0.3)


def test_an_empty_section_has_its_defaults():
    assert load(("bands/f125w/background", {})).bands["f125w"].background == Background(box=15.0, statistic="median")
    assert load(("bands/f125w/astrometry", {})).bands["f125w"].astrometry == ShiftSearch()
    assert load(("catalogue", None), ("band_defaults", None)).error_floor == 0.0


def test_a_background_is_a_box_or_a_polynomial():
    polynomial = load(("bands/f125w/background", {"order": 2})).bands["f125w"]
    assert polynomial.background_order == 2 and polynomial.moving_background is None
    box = load(("bands/f125w/background", {"box": 5.0})).bands["f125w"]
    assert box.background_order == 0 and box.moving_background == Background(box=5.0)
    none = load().bands["f125w"]
    assert none.background_order == 0 and none.moving_background is None


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ("w.fits", Weight(file="w.fits", kind="weight")),
        ({"file": "w.fits"}, Weight(file="w.fits", kind="weight")),
        ({"file": "w.fits", "kind": "rms"}, Weight(file="w.fits", kind="rms")),
        (None, None),
    ],
)
def test_weights(weight, expected):
    assert load(("bands/f125w/weight", weight)).bands["f125w"].weight == expected


def test_a_band_overrides_the_band_defaults():
    config = load(("band_defaults", {"zero_point": 25.0, "background": {"box": 5.0}}), ("bands/f125w/zero_point", 26.2))
    assert [band.zero_point for band in config.bands.values()] == [26.2, 25.0, 21.58]
    assert all(band.background == Background(box=5.0) for band in config.bands.values())


def test_a_band_may_live_on_the_defaults_alone():
    image = {"image": "all.fits[K]", "psf": "psf.fits"}
    assert load(("band_defaults", image), ("bands/k", None)).bands["k"].image == "all.fits[K]"


def test_the_configuration_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load().bands["f125w"].rms = 1.0


def test_the_input_is_left_alone():
    raw = {**copy.deepcopy(MINIMAL), "band_defaults": {"background": {"box": 5.0}}}
    before = copy.deepcopy(raw)
    load_config(raw)
    assert raw == before


@pytest.mark.parametrize(
    ("image", "stem"),
    [("a/f160w_drz.fits.gz[SCI]", "f160w_drz"), ("m.fits.fz", "m"), ("v1.2.fit", "v1.2"), (None, "f125w")],
)
def test_stem(image, stem):
    edits = [("bands/f125w/image", image)]
    if image is None:
        edits += [("bands/f125w/mosaic", "https://x.org/big.fits"), ("bands/f125w/cutout_size", 60)]
    band = load(*edits).bands["f125w"]
    assert (band.name, band.stem) == ("f125w", stem)


def test_a_copy_of_the_configuration_keeps_the_names_of_bands():
    assert load().model_copy(update={"data_dir": "x"}).bands["f125w"].name == "f125w"


@pytest.mark.parametrize(
    "raw", [None, [], "text", {"bands": None}, {"bands": ["a"]}, {**MINIMAL, "bands": {"a": None}}, {}]
)
def test_a_file_that_is_something_else(raw):
    with pytest.raises(ConfigError, match=r"^config.yaml: "):
        load_config(raw)


def test_the_configuration_is_loaded_without_heavy_packages():
    code = "import sys, unblend.plan.config; print(*sorted(sys.modules))"
    environment = {"PYTHONPATH": str(ROOT / "scripts")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not {"numpy", "astropy", "jsonschema", "yaml", "snakemake"} & set(run.stdout.split())


# In step ------------------------------------------------------------------------------------------------------------


def test_every_key_has_a_description():
    described = {key: place.get("description") or "$ref" in place for key, place in keys().items()}
    assert len(described) > 50 and [key for key, found in described.items() if not found] == []


def test_unknown_keys_are_errors_everywhere():
    assert [name for name, section in sections() if section["additionalProperties"] is not False] == []


def test_a_unit_is_beside_the_type():
    assert keys()["Band.rms"]["unit"] == "image units" and keys()["ModelSettings.timeout"]["unit"] == "s"


def test_limits_of_numbers_have_the_words_of_json_schema():
    """Pydantic writes `ge` and `le` for limits that it applies after a validator of its own: no editor knows them."""
    branches = [branch for place in keys().values() for branch in (place, *place.get("anyOf", []))]
    assert len(branches) > 100
    assert not [branch for branch in branches if {"ge", "gt", "le", "lt"} & branch.keys()]


def test_every_default_fits_the_schema():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(SCHEMA)
    with_default = {key: place for key, place in keys().items() if "default" in place}
    assert len(with_default) > 40
    for key, place in with_default.items():
        problems = list(Draft202012Validator({**place, "$defs": SCHEMA["$defs"]}).iter_errors(place["default"]))
        assert not problems, f"{key}: {problems[0].message}"


def test_every_key_of_a_band_may_be_a_band_default():
    assert keys()[".band_defaults"]["$ref"] == "#/$defs/Band"
    assert "name" not in Band.model_fields and "required" not in SCHEMA["$defs"]["Band"]


CONFIGS = [path for path in (ROOT / "config.yaml", *sorted((ROOT / "tests/configs").glob("*.yaml"))) if path.exists()]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_schema_accepts_what_the_workflow_accepts(path):
    from jsonschema import Draft202012Validator

    raw = yaml.safe_load(path.read_text())
    load_config(raw)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(raw)] == []


def test_config_yaml_shows_every_key():
    text = (ROOT / "config.yaml").read_text()
    # a key is shown when it is set or stands in a comment
    missing = {key.rsplit(".", 1)[-1] for key in keys()} - set(re.findall(r"[A-Za-z_]+", text))
    assert not missing, f"config.yaml does not explain {sorted(missing)}"


@pytest.mark.parametrize("value", [1e30, -1e30, 400.0, -101])
def test_a_zero_point_that_no_unit_has_is_refused(value):
    """Fluxes in microjansky would be 0 or infinite."""
    with pytest.raises(ConfigError, match=r"zero_point is .*: expected auto or a number from -100 to 100 or null"):
        load(("bands/f125w/zero_point", value))
    assert load(("bands/f125w/zero_point", -56.1)).bands["f125w"].zero_point == -56.1


@pytest.mark.parametrize("value", [1e-310, 1e-200, 1e200, 1e308])
@pytest.mark.parametrize("key", ["bands/f125w/rms", "bands/f125w/saturation", "models/gain", "detection/threshold"])
def test_a_number_whose_square_or_inverse_is_none_is_refused(key, value):
    with pytest.raises(
        ConfigError,
        match=r"(too small or too large: expected 0, or |Numbers below )1e-100 (to|and above) 1e\+100|at least 0.3",
    ):
        load((key, value))
    assert load(("bands/f125w/rms", 1e-36), ("bands/f125w/saturation", 0.0))
