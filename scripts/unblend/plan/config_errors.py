"""The mistakes of config.yaml as sentences: which key, what was found, what was expected, what to do."""

from __future__ import annotations

import datetime
import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..core.angles import number_from_text
from ..core.shown import MAX_SHOWN, shortened
from .config_values import LARGEST_NUMBER, MAX_BAND_NAME, NO_SPACES, SMALLEST_NUMBER, is_in_range

YAML_READS = "without quotes YAML reads 24 as a number and on, off, yes and no as true or false"

Schema = Mapping[str, Any]


def describe_mistakes(
    errors: Sequence[Any], data: Mapping[str, Any], schema: Schema, *, inherited: Collection[tuple[Any, ...]] = ()
) -> Iterator[str]:
    """Yield one sentence per key that has a mistake.

    Parameters
    ----------
    errors : sequence of dict
        The errors of pydantic: `type`, `loc`, `input`.
    data : mapping
        The configuration as it was checked, with `band_defaults` spread over the bands.
    schema : mapping
        The JSON schema of the configuration.
    inherited : collection of (str, str, str)
        Keys (bands, name, key) that come from `band_defaults`: their mistakes are described there.
    """
    described = set()
    for error in errors:
        keys, place = _locate(error["loc"], schema)
        if tuple(error["loc"][:3]) in inherited:
            continue
        # The branches of a union have an error each, as has each item of a list: one sentence per key says it all.
        what = (keys, error["loc"][len(keys) :] if error["type"] in ("extra_forbidden", "invalid_key") else ())
        if what not in described:
            described.add(what)
            yield _sentence(error, keys, place, data, schema)


def _locate(loc: Sequence[Any], schema: Schema) -> tuple[tuple[Any, ...], Schema]:
    """Return the part of `loc` that are keys of the file, and the schema of the last of them."""
    place: Schema = schema
    for depth, part in enumerate(loc):
        section = _section(place, schema)
        known = section.get("properties", {})
        others = section.get("patternProperties")
        if part in known:
            place = known[part]
        elif others and "[key]" not in loc:
            place = next(iter(others.values()))
        else:
            return tuple(loc[:depth]), place
    return tuple(loc), place


def _section(place: Schema, schema: Schema) -> Schema:
    """Return the schema of a section that `place` is, refers to or allows; empty where there is none."""
    if "$ref" in place:
        return schema["$defs"][place["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in place:
        return next((found for branch in place["anyOf"] if (found := _section(branch, schema))), {})
    return place if place.get("type") == "object" else {}


def _sentence(error: Any, keys: tuple[Any, ...], place: Schema, data: Mapping[str, Any], schema: Schema) -> str:
    where, kind = ".".join(shortened(str(key)) for key in keys), error["type"]
    if error["loc"][-1] == "[key]":
        return _bad_band_name(error["input"])
    if kind == "invalid_key":
        key = _shown(error["input"])
        return f"{where or 'the file'}: the key {key} is not text: {YAML_READS}. Remove it or put it in quotes."
    if kind == "extra_forbidden":
        return unknown_key(where, error["loc"][-1], list(_section(place, schema)["properties"]))
    if kind == "value_error":
        return f"{where}: {error['ctx']['error']}."
    expected = expected_value(place, schema)
    unit = f" ({place['unit']})" if "unit" in place else ""
    description = place.get("description", "")
    if kind == "missing":
        return f"{where} is missing: expected {expected}{unit}. {description}".rstrip()
    value = _value_at(keys, data, error["input"])
    return f"{where} is {_shown(value)}: expected {expected}{unit}. {description}{_advice(value, expected)}".rstrip()


def unknown_key(where: str, key: Any, known: Sequence[str]) -> str:
    """Return the sentence about an unknown key.

    Parameters
    ----------
    where : str
        The section, '' for the top of the file.
    key : object
        The key as YAML gives it.
    known : sequence of str
        The keys of the section.
    """
    near = nearest_name(str(key)[:MAX_SHOWN], known)
    return f"{where}{'.' if where else ''}{shortened(str(key))} is not a key: did you mean {near}?"


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Return the known name that is most like `name`."""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _bad_band_name(name: Any) -> str:
    if not isinstance(name, str):
        return f"bands: the name {_shown(name)} of a band is not text: {YAML_READS}. Put the name in quotes."
    return (
        f"bands: {_shown(name)} cannot be the name of a band: expected a letter or digit, followed by letters, digits "
        f"and . _ + - only, at most {MAX_BAND_NAME} characters."
    )


def _value_at(keys: Sequence[Any], data: Mapping[str, Any], otherwise: Any) -> Any:
    """Return the value that the user wrote; the validators may have turned it into something else."""
    value: Any = data
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return otherwise
        value = value[key]
    return value


def _shown(value: Any) -> str:
    """Return a value as one would write it in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool | datetime.date):
        return str(value).lower()
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"


def _advice(value: Any, expected: str) -> str:
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, float) and not math.isfinite(item) for item in items):
        return " NaN and infinity are not allowed."
    numbers = [number_from_text(item) for item in items]
    if "number" in expected and not all(is_in_range(n) for n in numbers if isinstance(n, float)):
        return f" Numbers below {SMALLEST_NUMBER:g} and above {LARGEST_NUMBER:g} are not allowed."
    text_expected = "number" not in expected and ("text" in expected or "names" in expected)
    if expected.startswith("text") and isinstance(value, list):
        return " Put a name with brackets in quotes: 'image.fits[SCI]'."
    if text_expected and any(isinstance(item, bool | int | float | datetime.date) for item in items):
        return f" Put the text in quotes: {YAML_READS}."
    return ""


def expected_value(place: Schema, schema: Schema) -> str:
    """Return in words which values a key may have: 'auto or a number above 0'.

    Parameters
    ----------
    place : mapping
        The JSON schema of the key.
    schema : mapping
        The JSON schema of the configuration, whose `$defs` the key may refer to.
    """
    if "$ref" in place:
        return expected_value(_section(place, schema), schema)
    if "anyOf" in place:
        return " or ".join(dict.fromkeys(expected_value(branch, schema) for branch in place["anyOf"]))
    if "const" in place:
        return str(place["const"])
    if "enum" in place:
        return " or ".join(map(str, place["enum"]))
    kind = place.get("type", "")
    if kind in ("number", "integer"):
        return _expected_number("a number" if kind == "number" else "a whole number", place)
    if kind == "array":
        return _expected_list(place)
    if kind == "string":
        if "format" in place:
            return f"{place['format']} text"
        return "text without white space" if place.get("pattern") == NO_SPACES else "text"
    return {"object": "a section", "null": "null"}.get(kind, "something else")


def _expected_number(text: str, place: Schema) -> str:
    if "minimum" in place and "maximum" in place:
        return f"{text} from {place['minimum']:g} to {place['maximum']:g}"
    words = {"exclusiveMinimum": "above", "minimum": "of at least", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {place[key]:g}" for key, word in words.items() if key in place]
    return " ".join([text, " and ".join(limits)]).rstrip()


def _expected_list(place: Schema) -> str:
    items = {"string": "names", "number": "numbers", "integer": "whole numbers"}[place["items"]["type"]]
    length = f"{place['minItems']} " if "maxItems" in place else ""
    return f"a list of {length}{items}"
