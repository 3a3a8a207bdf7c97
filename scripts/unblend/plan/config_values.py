"""Sections, keys and the kinds of values of config.yaml, read strictly: true is not a number, and 5 is not text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
)

from ..core.angles import degrees_from_text, number_from_text

LARGEST_ORDER = 5
"""Largest order of the polynomial of a background: 21 terms."""
MAX_BAND_NAME = 57
"""Letters of a band's name. FITS allows 68 in the name of a column; the longest prefix, err_formal_, takes 11."""
BAND_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
NO_SPACES = r"^\S+$"
MAX_FILE_NAME, MAX_PATH = 255, 4095
"""Bytes of a name in a path and of a whole path that Linux allows."""
MAX_WHOLE_NUMBER = 2**31 - 1
"""Largest whole number: that of the 32-bit integers in which sep counts pixels and FITS files hold IDs."""

SMALLEST_NUMBER, LARGEST_NUMBER = 1e-100, 1e100
"""Range of the size of a number: the square of one beyond it, or its inverse, may be 0 or infinite."""


@dataclass(frozen=True)
class AlsoAccepts:
    """Another form in which the file may give a value, for the JSON schema; a validator turns it into the main one."""

    kind: Literal["string", "null"]
    format: str = ""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON schema of the value with the other form beside it."""
        other = {"type": self.kind, "format": self.format} if self.format else {"type": self.kind}
        return {"anyOf": [handler(core_schema), other]}


def whole_number_from_text(value: Any) -> Any:
    """Return the whole number that a float or plain text such as 5.0 means; anything else is returned as it is."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip()):
        return int(value)
    number = number_from_text(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _right_ascension(value: Any) -> Any:
    return degrees_from_text(value, hours=True)


def _declination(value: Any) -> Any:
    return degrees_from_text(value, hours=False)


def _file_name(name: str) -> str:
    """Return the name of a file or folder.

    Raises
    ------
    ValueError
        No file can have the name.
    """
    if not name.strip():
        raise ValueError("the name is empty: expected the name of a file or folder")
    found = next((letter for letter in name if not letter.isprintable()), None)
    if found is not None:
        raise ValueError(
            f"the name contains {found!r}: expected a name without line breaks, tabs and other characters that do not "
            "show"
        )
    if name.split("/")[0] == "~":
        raise ValueError("~ is not replaced by your home folder here: give the whole path")
    if len(name.encode()) > MAX_PATH or max(len(part.encode()) for part in name.split("/")) > MAX_FILE_NAME:
        raise ValueError(
            f"the name is too long ({len(name)} characters): expected a name of at most {MAX_FILE_NAME} bytes in a "
            f"path of at most {MAX_PATH}"
        )
    return name


def _not_too_large(number: int) -> int:
    if abs(number) > MAX_WHOLE_NUMBER:
        raise ValueError(f"the number is too large: expected at most {MAX_WHOLE_NUMBER}")
    return number


def is_in_range(number: float) -> bool:
    """Return whether a number and the inverse of its square can be computed with."""
    return number == 0 or SMALLEST_NUMBER <= abs(number) <= LARGEST_NUMBER


def _in_range(number: float) -> float:
    if not is_in_range(number):
        raise ValueError(
            f"the number is too small or too large: expected 0, or {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}"
        )
    return number


def _results_folder(name: str) -> str:
    if "{" in name or "}" in name:
        raise ValueError("the name contains { or }: Snakemake reads these as wildcards; give the folder another name")
    if name.startswith("-"):
        raise ValueError("the name begins with -: programs read such a word as an option; give the folder another name")
    return name


# Strict: pydantic would otherwise take true for 1.0 and '5' for 5.
Number = Annotated[
    float, Field(strict=True, allow_inf_nan=False), BeforeValidator(number_from_text), AfterValidator(_in_range)
]
WholeNumber = Annotated[
    int, Field(strict=True), BeforeValidator(whole_number_from_text), AfterValidator(_not_too_large)
]
Magnitude = Annotated[
    float, Field(strict=True, allow_inf_nan=False, ge=-100, le=100), BeforeValidator(number_from_text)
]
"""AB magnitude of an image unit: that of W/m2/Hz is −56, that of 1e-30 erg/s/cm2/Hz is 26."""
PositiveNumber = Annotated[
    float, Field(strict=True, allow_inf_nan=False, gt=0), BeforeValidator(number_from_text), AfterValidator(_in_range)
]
NaturalNumber = Annotated[
    int, Field(strict=True, ge=0), BeforeValidator(whole_number_from_text), AfterValidator(_not_too_large)
]
PositiveWholeNumber = Annotated[
    int, Field(strict=True, ge=1), BeforeValidator(whole_number_from_text), AfterValidator(_not_too_large)
]
PolynomialOrder = Annotated[int, Field(strict=True, ge=0, le=LARGEST_ORDER), BeforeValidator(whole_number_from_text)]
RightAscension = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, ge=0, lt=360),
    BeforeValidator(_right_ascension),
    AlsoAccepts("string", "sexagesimal"),
]
Declination = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, ge=-90, le=90),
    BeforeValidator(_declination),
    AlsoAccepts("string", "sexagesimal"),
]
FileName = Annotated[str, AfterValidator(_file_name)]
ResultsFolder = Annotated[FileName, AfterValidator(_results_folder)]
BandName = Annotated[str, StringConstraints(pattern=BAND_NAME, max_length=MAX_BAND_NAME)]
FilterName = Annotated[str, StringConstraints(pattern=NO_SPACES), AfterValidator(_file_name)]


def key(default: Any, description: str, *, unit: str = "", **limits: Any) -> Any:
    """Return the description of one key; a default of `...` means that the key has to be given.

    Parameters
    ----------
    default : object
    description : str
        What the key means, for docs/config.md.
    unit : str
    **limits
        Limits of the value, as pydantic's `Field` takes them.
    """
    return Field(default, description=description, json_schema_extra={"unit": unit} if unit else None, **limits)


class Section(BaseModel):
    """A section of config.yaml: frozen, without unknown keys, without NaN or infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
