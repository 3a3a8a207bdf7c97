"""config.yaml as dataclasses: every mistake found at once, the nearest name offered, defaults filled in."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConfigError

ASTROMETRY_DEFAULTS = {"references": "auto", "radius": 1.5, "step": 0.03, "max_shift": 0.3}
"""Used where `shift: auto` is asked without a section of its own; a test holds them to the schema."""


@dataclass(frozen=True)
class Target:
    """The source one cares about: deg, ICRS."""

    ra: float
    dec: float


@dataclass(frozen=True)
class Detection:
    """See config.schema.yaml."""

    bands: list[str]
    flux_band: str
    conv_fwhm: float
    threshold: float
    deblend_levels: int
    deblend_contrast: float
    min_area: float
    min_snr: float
    merge_regions: str
    manual_regions: str


@dataclass(frozen=True)
class Models:
    """See config.schema.yaml."""

    psf: str
    psf_kind: str
    bad_regions: str
    overrides_dir: str
    custom_dir: str
    gain: float | None
    oversampling: int
    timeout: float
    batch_size: int | str


@dataclass(frozen=True)
class Band:
    """See config.schema.yaml."""

    name: str
    image: str | None
    mosaic: str | None
    cutout_size: float | None
    weight: dict[str, str] | None
    psf: str | None
    psf_oversampling: float
    psf_kind: str
    rms: float | str
    shift: list[float] | str
    background: dict[str, Any] | None
    mask_all_regions: str
    border_regions: str | None
    bad_regions: str | None
    sim_regions: str
    astrometry: dict[str, Any] | None
    zero_point: float | None
    filter: str | None
    wavelength: float | None

    @property
    def stem(self) -> str:
        """The image's file name without its ending; the band's name where a mosaic is cut."""
        if self.image is None:
            return self.name
        name = self.image.split("[")[0].rsplit("/", 1)[-1]
        for ending in (".gz", ".fz", ".fits", ".fit"):
            name = name.removesuffix(ending)
        return name


@dataclass(frozen=True)
class Config:
    """The whole configuration, checked and complete."""

    data_dir: str
    results_dir: str
    example_seed: int | None
    target: Target
    detection: Detection
    models: Models
    bands: dict[str, Band]
    error_floor: float


def load_config(raw: Mapping[str, Any], schema: Mapping[str, Any]) -> Config:
    """Return the configuration that `raw` (parsed YAML) describes, held against the JSON `schema`.

    Raises
    ------
    ConfigError
        With every mistake on a line of its own.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"config.yaml: the file is {type(raw).__name__}: expected sections (target, detection …).")
    data = copy.deepcopy(dict(raw))
    _spread_band_defaults(data)
    _raise_all(list(_mistakes(data, schema)))
    data = _filled(data, schema, schema)
    _raise_all(list(_contradictions(data)))
    bands = {name: Band(name=name, **_normalised(band)) for name, band in data["bands"].items()}
    detection = data["detection"]
    detection["flux_band"] = detection["flux_band"] or detection["bands"][-1]
    return Config(
        data_dir=data["data_dir"],
        results_dir=data["results_dir"],
        example_seed=data["example_seed"],
        target=Target(**data["target"]),
        detection=Detection(**detection),
        models=Models(**data["models"]),
        bands=bands,
        error_floor=data["catalogue"]["error_floor"],
    )


def _raise_all(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigError("config.yaml: " + "\n             ".join(mistakes))


def _spread_band_defaults(data: dict[str, Any]) -> None:
    defaults, bands = data.get("band_defaults") or {}, data.get("bands")
    if isinstance(defaults, dict) and isinstance(bands, dict):
        data["bands"] = {
            name: {**copy.deepcopy(defaults), **(band or {})} if isinstance(band or {}, dict) else band
            for name, band in bands.items()
        }
    data["band_defaults"] = {}


def _mistakes(data: dict[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    for error in sorted(Draft202012Validator(schema).iter_errors(data), key=lambda e: list(map(str, e.absolute_path))):
        yield from _sentences(error)


def _sentences(error: Any) -> Iterator[str]:
    """Say one schema error as a user would: the dotted key, what was found, what was expected."""
    where = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and error.schema.get("additionalProperties") is False:
        known = list(error.schema["properties"])
        for key in sorted(set(error.instance) - set(known)):
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            yield f"{where + '.' if where else ''}{key} is not a key: did you mean {near[0]}?"
    elif error.validator == "oneOf":
        # The branch that fits the kind of the value says it best: {box: -3} is a wrong box, not "no valid background".
        inside = ("additionalProperties", "required")
        deeper = [e for e in error.context or () if len(e.path) or e.validator in inside]
        if deeper and isinstance(error.instance, dict):
            yield from _sentences(deeper[0])
        else:
            yield f"{where} is {error.instance!r}: expected {_expected(error.schema)}."
    elif error.validator == "pattern":
        yield f"{where}.{error.instance} is no name for a band: expected letters, digits and . _ + - only."
    elif error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        yield f"{where or 'the file'} lacks {', '.join(missing)}."
    else:
        yield f"{where or 'the file'} is {error.instance!r}: expected {_expected(error.schema)}."


def _expected(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    words = {"null": "null", "integer": "a whole number", "number": "a number", "string": "text", "array": "a list",
             "object": "a section", "boolean": "true or false"}  # fmt: skip
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    text = " or ".join(words[kind] for kind in kinds)
    text += "".join(f", {word} {schema[key]}" for key, word in limits.items() if key in schema)
    if schema.get("description"):
        text = f"{text} ({schema['description'].rstrip('.')})" if text else schema["description"].rstrip(".")
    return text or "something else"


def _filled(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return `value` with the defaults of the schema where it says nothing."""
    if "$ref" in schema:
        return _filled(value, root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root)
    if "oneOf" in schema and isinstance(value, dict):
        schema = next(branch for branch in schema["oneOf"] if branch.get("type") == "object")
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    result = {key: copy.deepcopy(sub["default"]) for key, sub in properties.items() if "default" in sub}
    result.update(value)
    other = schema.get("additionalProperties")
    return {
        key: _filled(item, properties.get(key, other if isinstance(other, dict) else {}), root)
        for key, item in result.items()
    }


def _normalised(band: dict[str, Any]) -> dict[str, Any]:
    if isinstance(band["weight"], str):
        band["weight"] = {"file": band["weight"], "kind": "weight"}
    if band["shift"] == "auto" and band["astrometry"] is None:
        band["astrometry"] = dict(ASTROMETRY_DEFAULTS)
    return band


def _contradictions(data: dict[str, Any]) -> Iterator[str]:
    """Yield what no schema can say: names that must exist, keys that exclude each other."""
    bands, detection = data["bands"], data["detection"]
    named = [("detection.bands", name) for name in detection["bands"]]
    named += [("detection.flux_band", detection["flux_band"])] if detection["flux_band"] else []
    for key, name in named:
        if name not in bands:
            near = difflib.get_close_matches(name, list(bands), n=1, cutoff=0.0)
            yield f"{key} names {name!r}, which is no band: did you mean {near[0]}?"
    for name, band in bands.items():
        if (band["image"] is None) == (band["mosaic"] is None):
            yield f"bands.{name} needs either image or mosaic."
        if band["mosaic"] is not None and band["cutout_size"] is None:
            yield f"bands.{name} has a mosaic and needs cutout_size (arcsec)."
        if band["psf"] is None:
            yield f"bands.{name} lacks psf."
        search = band["astrometry"]
        if search and search["step"] > search["max_shift"]:
            yield f"bands.{name}.astrometry.step is larger than max_shift: the grid would hold one point."
