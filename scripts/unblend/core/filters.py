"""Approximate wavelengths of filters from their names, for the axes of plots; not precise enough for photometry."""

from __future__ import annotations

import re

_HST_OPTICAL = frozenset(
    f"f{name}"
    for name in (
        "218w", "225w", "275w", "300x", "336w", "350lp", "390w", "390m", "435w", "438w", "450w", "467m", "475w", "475x",
        "547m", "550m", "555w", "600lp", "606w", "621m", "625w", "689m", "702w", "763m", "775w", "791w", "814w", "845m",
        "850lp",
    )
)  # fmt: skip
"""Filters of ACS, WFC3/UVIS and WFPC2, whose number is in nanometres. In all other F filters (WFC3/IR, NICMOS, JWST) it
is in hundredths of a micrometre. f410m is taken as the NIRCam filter."""

_UM = {
    "fuv": 0.153, "nuv": 0.231, "u": 0.36, "b": 0.44, "g": 0.48, "v": 0.55, "r": 0.62, "i": 0.76, "z": 0.90, "y": 1.02,
    "r2": 0.62, "i2": 0.77, "j": 1.25, "h": 1.65, "k": 2.20, "ks": 2.15,
    "irac1": 3.56, "irac2": 4.50, "irac3": 5.74, "irac4": 7.93,
    "ch1": 3.56, "ch2": 4.50, "ch3": 5.74, "ch4": 7.93, "w1": 3.35, "w2": 4.60, "w3": 11.6, "w4": 22.1, "mips24": 23.7,
}  # fmt: skip
"""Pivot wavelengths in micrometres, accurate to a few per cent because instruments differ."""


def wavelength_um(name: str) -> float | None:
    """Return the wavelength in micrometres of a filter or band (`hst-f606w`, `irac-ch1`, `Ks`), None if it is unknown.

    The whole name is looked up first, then its words from the last to the first.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    for word in ["".join(words), *reversed(words)]:
        if word in _UM:
            return _UM[word]
        match = re.fullmatch(r"f(\d{3,4})(w2?|lp|m|n|x)", word)
        if match:
            return int(match[1]) / (1000.0 if word in _HST_OPTICAL else 100.0)
    return None
