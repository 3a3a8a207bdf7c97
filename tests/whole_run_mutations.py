"""Whole runs of a small field with one damaged, wrong or unusual input, judged by the clean field's catalogue."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import angular_separation
from astropy.io import fits
from astropy.wcs import WCS

sys.path.insert(0, str(Path(__file__).parent / "integration"))

from careless_mutations import CARELESS, MOVED, NOISIER, UNIT
from harness import Field, environment
from mutation_tools import IMAGE, PSF, Mutation, band, cards, content, edit, spikes, weight
from mutations import HANG, RIGHT, SENTENCE, TRACEBACK
from slip_mutations import SLIPS
from smallfield import BLURRED, RMS, SHARP
from unblend.report.run_warnings import read_warnings

WARNED, BOTH, FLAGGED, SILENT = "warned", "flagged and warned", "flagged alone", "silent wrong"
VERDICTS = (RIGHT, SENTENCE, BOTH, WARNED, FLAGGED, TRACEBACK, HANG, SILENT)
NO_CAUSE = ("circles", "FWHM is", "may contain unmodelled flux")
"""Words of warnings that name no mistake of the inputs, and explain no wrong flux."""
LONGEST_S = 900
SIGMAS, FRACTION = 3.0, 0.01
"""A flux is right within three of its errors or a hundredth of that of the clean field."""
GROWTH = 2.0
"""And if its error is at most this times that of the clean field, or `TRUE_GROWTH`: no mistake may hide in an error."""
TRUE_GROWTH = {"image: half five times as noisy": 7.5, "image: coarse integers": 3.0, **NOISIER}
"""By name of a mutation: how much its own noise makes the errors grow."""
MATCH_ARCSEC = 0.15


def stored(kind: str, scale: float = 1.0) -> Callable[[Field], None]:
    """Return a mutation that stores the blurred image with another type, scaled where that is of integers."""

    def apply(field: Field) -> None:
        data, header = fits.getdata(field / f"{BLURRED}.fits", header=True)
        hdu = fits.PrimaryHDU(np.rint(data / scale).astype(kind) if kind[0] == "i" else data.astype(kind), header)
        if kind[0] == "i":
            hdu.header["BSCALE"] = scale
        raw = np.asarray(hdu.data).astype(np.dtype(kind).newbyteorder(">")).tobytes()
        (field / f"{BLURRED}.fits").write_bytes(hdu.header.tostring().encode() + raw + bytes(-len(raw) % 2880))

    return apply


def other_psf(field: Field) -> None:
    """Give the blurred band the PSF of the sharp one."""
    shutil.copy(field / f"{SHARP}-psf.fits", field / f"{BLURRED}-psf.fits")


def _set(window: Any, value: float) -> Callable[[np.ndarray], None]:
    return lambda data: data.__setitem__(window, value)


def _add(values: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda data: data + values(*np.indices(data.shape))


def _brightest(data: np.ndarray) -> tuple[int, int]:
    return np.unravel_index(np.argmax(data), data.shape)  # type: ignore[return-value]


def _nan_core(data: np.ndarray) -> None:
    y, x = _brightest(data)
    data[y - 1 : y + 2, x - 1 : x + 2] = np.nan


def _oversampled(data: np.ndarray) -> np.ndarray:
    return np.kron(data, np.ones((3, 3))) / 9.0


MUTATIONS: dict[str, Mutation] = {
    "image: a third is NaN": edit(IMAGE, _set((slice(None), slice(0, 36)), np.nan)),
    "image: a third is 0": edit(IMAGE, _set((slice(None), slice(0, 36)), 0.0)),
    "image: a dead column": edit(IMAGE, _set((slice(None), 60), 0.0)),
    "image: cosmic rays": edit(IMAGE, spikes),
    "image: a level of 100": edit(IMAGE, _add(lambda y, x: 100.0 + 0 * x)),
    "image: a gradient": edit(IMAGE, _add(lambda y, x: 0.02 * x)),
    "image: a saturated core of NaN": edit(IMAGE, _nan_core),
    "image: clipped at half its maximum": edit(IMAGE, lambda d: np.minimum(d, 0.5 * d.max())),
    "image: negative": edit(IMAGE, lambda d: -d),
    "image: half five times as noisy": edit(
        IMAGE, lambda d: d + np.where(np.indices(d.shape)[1] > 54, np.random.default_rng(3).normal(0, 0.25, d.shape), 0)
    ),
    "image: upside down": edit(IMAGE, lambda d: d[::-1]),
    "image: integers with BSCALE": stored("i2", 1e-3),
    "image: coarse integers": stored("i2", 0.05),
    "image: double precision": stored("f8"),
    "image: cut": content(IMAGE, lambda b: b[: len(b) // 2]),
    "image: cut at a block": content(IMAGE, lambda b: b[:5760]),
    "image: empty": content(IMAGE, lambda b: b""),
    "header: CRPIX1 off by 3": cards(IMAGE, CRPIX1=lambda v: v + 3),
    "header: CRPIX1 off by 0.5": cards(IMAGE, CRPIX1=lambda v: v + 0.5),
    "header: pixels 3 % larger": cards(IMAGE, CDELT1=lambda v: 1.03 * v, CDELT2=lambda v: 1.03 * v),
    "header: no CTYPE": cards(IMAGE, CTYPE1=None, CTYPE2=None),
    "header: the other side of the sky": cards(IMAGE, CRVAL1=330.0),
    "header: unit of 10 nJy": cards(IMAGE, BUNIT="10*nanoJansky"),
    "PSF: sum of 100": edit(PSF, lambda d: 100 * d),
    "PSF: off centre by 2": edit(PSF, lambda d: np.roll(d, 2, axis=1)),
    "PSF: a pedestal": edit(PSF, lambda d: d + 1e-3),
    "PSF: oversampled, not said": edit(PSF, _oversampled),
    "PSF: 5 x 5": edit(PSF, lambda d: d[8:13, 8:13]),
    "PSF: that of the other band": other_psf,
    "PSF: a NaN": edit(PSF, _set((10, 10), np.nan)),
    "PSF: zeros": edit(PSF, lambda d: 0 * d),
    "weight: right": weight(lambda w: w),
    "weight: rms as weight": weight(lambda w: w**-0.5 + np.linspace(0, 0.1, w.shape[1])),
    "weight: zeros": weight(lambda w: 0 * w),
    "weight: a third is NaN": weight(lambda w: np.where(np.indices(w.shape)[1] < 36, np.nan, w)),
    "weight: another shape": weight(lambda w: w[:-1]),
    "regions: not DS9": content(f"{BLURRED}-bad.reg", lambda b: b"circle 1 2 3\n<html>\n"),
    "regions: everything": content(f"{BLURRED}-bad.reg", lambda b: b"image\ncircle(50,40,500)\n"),
    "regions: without a line break": content(f"{BLURRED}-bad.reg", lambda b: b"image\ncircle(5,5,2)"),
    "override: no number": content("overrides/3.dat", lambda b: b"n four\n"),
    "override: fixed to its value": content("overrides/3.dat", lambda b: b"# nothing\n"),
    "custom model: no image": content("custom_models/3.fits", lambda b: b"SIMPLE"),
    "config: shift of 5 arcsec": band(shift=[5.0, 0.0]),
    "config: rms ten times too small": band(rms=RMS[BLURRED] / 10),
    "config: rms of NaN": band(rms=float("nan")),
    "config: psf_oversampling 3, not so": band(psf_oversampling=3.0),
    "detection image: cosmic rays": edit(f"{SHARP}.fits", lambda d: spikes(d, 20, 3.0)),
    "detection image: a gradient": edit(f"{SHARP}.fits", _add(lambda y, x: 0.002 * x)),
    "detection image: a border of 0": edit(f"{SHARP}.fits", lambda d: np.pad(d[6:-6, 6:-6], 6)),
    "detection image: a saturated core of NaN": edit(f"{SHARP}.fits", _nan_core),
    "detection image: NaN in a corner": edit(f"{SHARP}.fits", _set((slice(0, 40), slice(0, 10)), np.nan)),
    "detection image: all NaN": edit(f"{SHARP}.fits", lambda d: d * np.nan),
    **CARELESS,
    **SLIPS,
}
"""By name: what is done to the inputs of a field that has been run once."""


def judge_run(field: Field, clean: Field, name: str) -> tuple[str, str]:
    """Mutate an input of a field, a copy of the clean one, run it, and return the verdict and its explanation."""
    MUTATIONS[name](field)
    try:
        done = subprocess.run(field.command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=LONGEST_S)  # fmt: skip
    except subprocess.TimeoutExpired:
        return HANG, f"no end after {LONGEST_S} s"
    if "Traceback" in done.stdout or "traceback in" in done.stdout:
        return TRACEBACK, done.stdout[-1500:]
    if done.returncode:
        marks = ("unblend:", "bands.", ": ", "Config file is not valid")  # the last is Snakemake's own
        said = [line.strip() for line in done.stdout.splitlines() if any(mark in line for mark in marks)]
        return (SENTENCE, " ".join(said)[:300]) if said else (TRACEBACK, f"no sentence: {done.stdout[-500:]}")
    growth = TRUE_GROWTH.get(name, GROWTH)
    wrong, excused = compare(field.table("catalogue.fits"), expected(field, clean, name), growth)
    if not wrong and not excused:
        return RIGHT, ""
    known = {warning.sentence for warning in read_warnings(clean / "results")}
    new = [warning.sentence for warning in read_warnings(field / "results") if warning.sentence not in known]
    new += [line for line in done.stdout.splitlines() if line.startswith("unblend: ")]
    new = [sentence for sentence in new if not any(words in sentence for words in NO_CAUSE)]
    explained = f"{' | '.join(new)} ({'; '.join(wrong or excused)[:150]})"
    if not wrong:
        return BOTH if new else FLAGGED, explained
    return WARNED if new else SILENT, explained


def expected(field: Field, clean: Field, name: str) -> np.ndarray:
    """Return the catalogue of the clean field, its positions and fluxes as they have to be after a mutation."""
    table = clean.table("catalogue.fits").copy()
    if name in MOVED:
        places = clean.table("det_cat.fits")
        wcs = WCS(fits.getheader(field / f"{SHARP}.fits"))
        table["ra"], table["dec"] = wcs.wcs_pix2world(places["x"], places["y"], 1)
    for column in table.dtype.names:
        if column.partition("_")[0] in ("flux", "err"):
            table[column] *= UNIT.get(name, 1.0)
    return table


def compare(found: np.ndarray, clean: np.ndarray, growth: float = GROWTH) -> tuple[list[str], list[str]]:
    """Return the fluxes that are wrong without a flag of their own, and those that differ but have one.

    A flux whose error is more than `growth` times that of the clean field is wrong as well.
    """
    wrong: list[str] = []
    excused: list[str] = []
    for row in clean:
        here = (np.radians(found["ra"]), np.radians(found["dec"]))
        apart = 3600.0 * np.degrees(angular_separation(*here, np.radians(row["ra"]), np.radians(row["dec"])))
        nearest = int(np.argmin(apart))
        if apart[nearest] > MATCH_ARCSEC:
            wrong.append(f"source {row['id']} is missing")
            continue
        for name in (SHARP, BLURRED):
            flux, error, flag = (found[nearest][f"{column}_{name}"] for column in ("flux", "err", "flag"))
            right = abs(flux - row[f"flux_{name}"]) <= max(SIGMAS * error, FRACTION * abs(row[f"flux_{name}"]))
            if not (right and error <= growth * row[f"err_{name}"]):
                text = f"{name} {row['id']}: {flux:.3g} ± {error:.2g} for {row[f'flux_{name}']:.3g}"
                (excused if flag & ~row[f"flag_{name}"] else wrong).append(text)
    return wrong, excused
