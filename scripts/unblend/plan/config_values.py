"""The kinds of values that config.yaml may hold, read strictly: true is no number, and 5 is no text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, StringConstraints

from ..core.angles import degrees_from_text, number_from_text

MAX_BAND_NAME = 57
"""Letters of a band's name. FITS allows 68 in the name of a column; the longest prefix, err_formal_, takes 11."""
BAND_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
NO_SPACES = r"^\S+$"


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


# Strict: pydantic would otherwise take true for 1.0 and '5' for 5.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), BeforeValidator(number_from_text)]
WholeNumber = Annotated[int, Field(strict=True), BeforeValidator(whole_number_from_text)]
PositiveNumber = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0), BeforeValidator(number_from_text)]
NaturalNumber = Annotated[int, Field(strict=True, ge=0), BeforeValidator(whole_number_from_text)]
PositiveWholeNumber = Annotated[int, Field(strict=True, ge=1), BeforeValidator(whole_number_from_text)]
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
BandName = Annotated[str, StringConstraints(pattern=BAND_NAME, max_length=MAX_BAND_NAME)]
FilterName = Annotated[str, StringConstraints(pattern=NO_SPACES)]
