"""The name of a band and its wavelength from the header of its image, else from the name of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..core.filters import wavelength_um
from ..io.header_numbers import positive
from .config_values import MAX_BAND_NAME
from .file_roles import words_of

FILTER_KEYWORDS = (
    "FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2", "FILTNAME", "FILT", "BAND", "HIERARCH ESO INS FILT1 NAME",
    "ESO INS FILT1 NAME",
)  # fmt: skip
_NO_FILTER = re.compile(r"(clear|open|none|n/a|blank|empty|mirror|unknown|multi|any).*|[\d. ]*", re.IGNORECASE)
_JWST_FILTER = re.compile(r"F\d{3,4}[WMN]2?", re.IGNORECASE)
_UM = {
    "vis": 0.715, "nir-y": 1.081, "nir-j": 1.367, "nir-h": 1.771, "muse-white": 0.6664,
    "spherex-d1": 0.92, "spherex-d2": 1.36, "spherex-d3": 2.02, "spherex-d4": 3.12, "spherex-d5": 4.12,
    "spherex-d6": 4.71,
}  # fmt: skip
"""Pivot wavelengths in micrometres that the name of the filter does not tell: Euclid; the white light of MUSE, whose
mean over 4750–9350 Å has the pivot wavelength sqrt(4750 × 9350) Å; the middle of each detector of SPHEREx."""


def instrument_of(header: Mapping[str, object]) -> str:
    """Return telescope and instrument as a header names them, in lower case; empty where it does not."""
    words = [str(header.get(key) or "").strip().lower() for key in ("TELESCOP", "INSTRUME")]
    return " ".join(dict.fromkeys(word for word in words if word))


def band_name(header: Mapping[str, object], stem: str) -> str:
    """Return a name for the band of an image: its filter or channel, else what the name of its file says.

    Parameters
    ----------
    header : mapping
    stem : str
        Name of the file without its ending.
    """
    return (filter_name(header) or _of_file(stem))[:MAX_BAND_NAME]


def filter_name(header: Mapping[str, object]) -> str:
    """Return the filter or channel that a header names; empty where it names none."""
    return _of_channel(header) or _of_filter(header)


def _of_channel(header: Mapping[str, object]) -> str:
    instrument, channel = instrument_of(header), positive(header, "CHNLNUM") or positive(header, "CHANNEL")
    detector = positive(header, "DETECTOR")
    if "irac" in instrument and channel:
        return f"irac-ch{channel:.0f}"
    if "mips" in instrument and channel:
        return {1: "mips24", 2: "mips70", 3: "mips160"}.get(round(channel), "")
    if "spherex" in instrument and detector:
        return f"spherex-d{detector:.0f}"
    if "muse" in instrument:
        return "muse-white"
    return ""


def _of_filter(header: Mapping[str, object]) -> str:
    pupil = str(header.get("PUPIL") or "").strip()
    names = [pupil] if _JWST_FILTER.fullmatch(pupil) else []
    names += [str(header.get(key) or "").strip() for key in FILTER_KEYWORDS]
    return next((_plain(name) for name in names if not _NO_FILTER.fullmatch(name) and _plain(name)), "")


def _of_file(stem: str) -> str:
    """Return the last words of a file's name that are a known filter (`irac-ch1`, `ks`), else its words."""
    words = words_of(stem)
    for number in (2, 1):
        for at in range(len(words) - number, -1, -1):
            part = words[at : at + number]
            if number == 2 and not re.fullmatch(r"irac|hsc|mips|vista|uvista|decam", part[0]):
                continue
            long_enough = len(part[-1]) > 1 or number == 2 or len(words) == 1
            if long_enough and wavelength_um("-".join(part)) is not None:
                return "-".join(part)
    return _plain("-".join(words)) or "band"


def _plain(name: str) -> str:
    """Return a name with the letters that a band's name may have."""
    return re.sub(r"[^a-z0-9.+-]+", "-", name.lower()).strip("-.+")


def without_duplicates(names: Sequence[str], instruments: Sequence[str]) -> list[str]:
    """Return band names of which no two are the same: with the instrument where they were, else with a number."""
    often = {name for name in names if list(names).count(name) > 1}
    longer = [
        _plain(f"{i.split()[-1]}-{n}")[:MAX_BAND_NAME] if n in often and i else n
        for n, i in zip(names, instruments, strict=True)
    ]
    result: list[str] = []
    for name in longer:
        number = 1
        while (name if number == 1 else f"{name[: MAX_BAND_NAME - 4]}-{number}") in result:
            number += 1
        result.append(name if number == 1 else f"{name[: MAX_BAND_NAME - 4]}-{number}")
    return result


def pivot_um(header: Mapping[str, object], name: str) -> float | None:
    """Return the pivot wavelength in micrometres where the header or the instrument tells it; None otherwise."""
    angstrom = positive(header, "PHOTPLAM")
    if angstrom is not None and 900.0 < angstrom < 4e5:
        return float(f"{angstrom / 1e4:.5g}")
    return _UM.get(name)
