"""What a file is by the words of its name: an image, a weight map and of which kind, a PSF; what belongs to what."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ..io.selections import split_extension

Role = Literal["image", "weight", "psf", "other"]

ENDINGS = (".fits.gz", ".fits.fz", ".fit.gz", ".fits", ".fit", ".fts")
_IMAGE_WORDS = frozenset(
    {"sci", "drz", "drc", "i2d", "img", "image", "mosaic", "maic", "bgsub", "flux", "int", "science", "data", "median",
     "cal"}
)  # fmt: skip
EXPOSURE_WORDS = {
    **dict.fromkeys(("exp", "expmap", "exptime", "texp", "exposure"), "exposure times"),
    **dict.fromkeys(("cov", "mcov", "coverage", "nexp", "nframes"), "coverages"),
}
"""Words of maps of exposure times and of numbers of frames: inverse variances up to a factor."""
_WEIGHT_WORDS = ("wht", "weight", "weights", "wt", "wgt", "ivar", "invvar", "conf", *EXPOSURE_WORDS)
_RMS_WORDS = ("rms", "unc", "munc", "err", "error", "errors", "sigma", "std", "noise", "uncertainty")
KIND_OF_WORD = {
    **dict.fromkeys(_WEIGHT_WORDS, "weight"),
    **dict.fromkeys(_RMS_WORDS, "rms"),
    **dict.fromkeys(("var", "variance"), "variance"),
}
"""Words of file names, and names of extensions, of weight maps: their kind. Exposure times, coverages and confidence
maps (CASU) are inverse variances up to a factor."""
KIND_OF_EXTENSION = {
    "WHT": "weight", "WEIGHT": "weight", "WGT": "weight", "IVAR": "weight", "INVVAR": "weight",
    **{word.upper(): "weight" for word in EXPOSURE_WORDS}, "VAR": "variance", "VARIANCE": "variance",
    "STAT": "variance", "RMS": "rms", "ERR": "rms", "ERROR": "rms", "UNC": "rms", "UNCERT": "rms", "SIGMA": "rms",
    "NOISE": "rms",
}  # fmt: skip
PSF_WORDS = frozenset({"psf", "psfs", "epsf", "prf", "prfs"})
_OTHER_WORDS = frozenset(
    {"mask", "flag", "flags", "seg", "segm", "segmentation", "dq", "ctx", "con", "bpm", "bkg", "background", "model",
     "models", "resid", "residual", "dmask"}
)  # fmt: skip
_MATCHED = frozenset(["matched", "match", "homogenized", "homogenised", "convolved"])
_STAMPS = re.compile(r"\d{8}t\d{6,}z?|\d{6}z|e\d{6,8}|(?=.*[a-f])(?=.*\d)[0-9a-f]{6}")
"""Dates and checksums in the names of Euclid and Spitzer, which differ between files that belong together."""


def stem_of(path: str | Path) -> str:
    """Return the name of a file without folder, FITS ending and [EXT]."""
    name = Path(split_extension(str(path))[0]).name
    return next((name[: -len(end)] for end in ENDINGS if name.lower().endswith(end)), name)


def words_of(stem: str) -> list[str]:
    """Return the words of a file's name that say which image it is, without those that say what it holds of it."""
    words = [word for word in _all_words(stem) if not _STAMPS.fullmatch(word)]
    own = [word for word in words if word not in KIND_OF_WORD and word not in PSF_WORDS]
    # mosaic_cov.fits belongs to mosaic.fits
    return [word for word in own if word not in _IMAGE_WORDS] or own or words or _all_words(stem)


def words_in(path: str | Path) -> list[str]:
    """Return all words of the name of a file, in lower case."""
    return _all_words(stem_of(path))


def _all_words(stem: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", stem.lower()) if word]


def role_of(path: str | Path) -> Role:
    """Return what a file is by the words of its name."""
    words = _all_words(stem_of(path))
    psf_matched = any(word in PSF_WORDS and after in _MATCHED for word, after in pairwise(words))
    # the PRFs of IRAC: IRAC.1.EXTPRF.5X.fits, and apex_sh_IRAC1_col129_row129_x100.fits
    prf_of_irac = words[:2] == ["apex", "sh"] or "extprf" in words
    if prf_of_irac or (set(words) & PSF_WORDS and not psf_matched):
        return "psf"
    if set(words) & set(KIND_OF_WORD):
        return "weight"
    return "other" if set(words) & _OTHER_WORDS else "image"


def kind_of(path: str | Path) -> str:
    """Return the kind of a weight map (weight, variance, rms) by the last word of its name that says it."""
    return next(KIND_OF_WORD[word] for word in reversed(_all_words(stem_of(path))) if word in KIND_OF_WORD)


def belongs_to(path: str | Path, image: str | Path) -> bool:
    """Return whether two files are of one image by their names, whatever each holds of it."""
    return words_of(stem_of(path)) == words_of(stem_of(image))
