"""Mutated inputs of every kind, and a judgement of what the program makes of each: right, a sentence, or a fault.

`tests/unit/test_mutations.py` judges some of each kind; `make robustness` thousands, and counts them.
"""

from __future__ import annotations

import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from hypothesis import strategies as st
from unblend.core.coordinates import pixel_to_sky
from unblend.core.errors import UnblendError
from unblend.field.weight_maps import checked_weight
from unblend.fits.overrides import parse_override
from unblend.images.masks import region_mask
from unblend.images.psf import prepare_psf
from unblend.io.images import read_array, read_wcs
from unblend.io.regions import parse_regions
from unblend.io.source_lists import read_source_list
from unblend.plan.config import load_config
from unblend.plan.config_text import read_config_file

RIGHT, SENTENCE = "right", "sentence"
TRACEBACK, HANG, WRONG = "traceback", "hang", "wrong"
LONGEST_S = 20
"""Seconds of processor time after which a case counts as hanging; the slowest take one."""
LONGEST_SENTENCE = 6000
ROOT = Path(__file__).resolve().parents[1]

TOKENS = st.sampled_from(
    ["nan", "inf", "-inf", "1e400", "-1", "0", "1e-3", "''", "[]", "{}", "null", "true", "yes", "24", "on", "..", "é",
     "a b", "x.fits[ERR]", '"x.fits[ERR]"', "*a", "&a [*a]", "!!python/object:os.system x", "1:20:30", "0x10", "010",
     "~", "-", "?", ":", "#", "'", '"', "\t", "\n", "\r", "\x00", "\ufeff", "{", "}", "[", "]", ",", "%", "@", "|",
     ">", "9" * 500, "x" * 3000, "1,2", "1 2", "fixed", "FUNCTION Sersic", "GROUP with 3", "PIXELS cutout",
     "circle(1,1,nan)",
     "circle(1e300,1,5)", "circle(1,1,-3)", "fk5", "galactic", "wcsa", "image;circle(5,5,3)", "text={a}", "# comment",
     "53:05:20", "03h32m20s", "12d", '5"', "5'", "polygon(1,1)", "ellipse(1,2,3)", "ra,dec,id", "1e300", "--", "NaN"]
)  # fmt: skip


def mutated(text: str) -> st.SearchStrategy[str]:
    """Return texts with up to four lines dropped, doubled, swapped or cut, and tokens in the place of others."""

    @st.composite
    def edited(draw: Any) -> str:
        lines = text.splitlines()
        for _ in range(draw(st.integers(1, 4))):
            k = draw(st.integers(0, len(lines) - 1)) if lines else 0
            kind = draw(
                st.sampled_from(["drop", "double", "swap", "cut", "token", "token", "token", "insert", "noise"])
            )
            if not lines or kind == "insert":
                lines.insert(k, draw(TOKENS))
            elif kind == "drop":
                del lines[k]
            elif kind == "double":
                lines.insert(k, lines[k])
            elif kind == "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[k], lines[other] = lines[other], lines[k]
            elif kind == "cut":
                lines[k] = lines[k][: draw(st.integers(0, len(lines[k])))]
            elif kind == "noise":
                lines[k] += draw(st.text(max_size=12))
            else:
                words = lines[k].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(TOKENS)
                lines[k] = " ".join(words)
        return "\n".join(lines) + "\n"

    return edited()


CONFIG = (ROOT / "tests/configs/everything.yaml").read_text()
OVERRIDE = (
    "X0 50 45,55\nY0 40\nFUNCTION Sersic # LABEL ID=7\nPA 30 0,180\nell 0.3\nn 4 fixed\nI_e 2\nr_e 5 1,10\n"
    "GROUP with 3\n"
)
REGIONS = (
    "# Region file format: DS9 version 4.1\nglobal color=green\nicrs\ncircle(53.09,-27.84,2\")\n"
    "-box(53.0901,-27.84,3\",2\",30) # text={a}\nimage\npolygon(10,10,20,10,20,20)\nellipse(30,30,5,3,10)\n"
    "annulus(53.09,-27.84,1\",2\")\n"
)  # fmt: skip
SOURCES = "id,ra,dec\n1,53.09,-27.84\n2,53.0901,-27.8401\n30,53.0902,-27.8402\n"

HEADER: dict[str, Any] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.09, "CRVAL2": -27.84, "CRPIX1": 20.5, "CRPIX2": 15.5,
    "CD1_1": -1.6e-5, "CD1_2": 2e-6, "CD2_1": 2e-6, "CD2_2": 1.6e-5, "RADESYS": "ICRS",
}  # fmt: skip
CARDS: dict[str, list[Any]] = {
    "CTYPE1": ["GLON-TAN", "DEC--TAN", "RA---SIN", "RA---TPV", "RA---TAN-SIP", "ELON-TAN", "X", "", "RA---XYZ", 5],
    "CTYPE2": ["GLAT-TAN", "RA---TAN", "DEC--SIN", "DEC--TPV", "DEC--TAN-SIP", "ELAT-TAN", "Y", "", "WAVE"],
    "CUNIT1": ["deg", "arcsec", "degree", "rad", "m", "", "furlong"],
    "CUNIT2": ["deg", "arcsec", "degree", "rad", "m", ""],
    "RADESYS": ["ICRS", "FK5", "FK4", "FK4-NO-E", "GAPPT", "", "fk5", 7],
    "EQUINOX": [2000.0, 1950.0, 1975.0, "J2000", -1.0],
    "CRVAL1": [0.0, 359.99, -10.0, 400.0, "53.09", float("nan"), 1e30],
    "CRVAL2": [0.0, 89.999, -90.0, 95.0, "x"],
    "CRPIX1": [0.0, -1e6, 1e9, "a"],
    "CD1_1": [0.0, 1.6e-5, -1e-30, 1e5, "z"],
    "CD2_2": [0.0, -1.6e-5, 5.0],
    "CD1_2": [None, 0.0],
    "CD2_1": [None, 0.0],
    "CDELT1": [0.0, -1.6e-5, 1.0],
    "CDELT2": [0.0, 1.6e-5],
    "PC1_1": [1.0, 0.0, 0.7],
    "PC2_2": [1.0, 0.0],
    "CROTA2": [30.0],
    "LONPOLE": [180.0, 0.0, 90.0],
    "LATPOLE": [0.0],
    "PV1_1": [0.0, 1.0, 0.01],
    "A_ORDER": [2, 0, -1, "q"],
    "B_ORDER": [2, 0],
    "A_2_0": [1e-5, 1.0],
    "WCSAXES": [1, 2, 3],
    "NAXIS3": [2],
}


@st.composite
def headers(draw: Any) -> dict[str, Any]:
    """Return the cards of a header with up to four of them changed, removed or added."""
    cards = dict(HEADER)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(sorted(CARDS)))
        value = draw(st.sampled_from(CARDS[name]))
        if value is None or draw(st.integers(0, 9)) == 0:
            cards.pop(name, None)
        else:
            cards[name] = value
    return cards


@st.composite
def pixels(draw: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return stored pixels of any type, and the cards that scale them."""
    kind = draw(st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    data = rng.normal(100.0, draw(st.sampled_from([0.0, 0.5, 5.0, 40.0])), (24, 30))
    stored = data.astype(kind)
    cards: dict[str, Any] = {}
    if draw(st.booleans()):
        cards["BZERO"] = draw(st.sampled_from([0.0, 32768.0, 2147483648.0, -5.5]))
    if draw(st.booleans()):
        cards["BSCALE"] = draw(st.sampled_from([1.0, 0.5, 2.0, -1.0]))
    if kind[0] in "iu" and draw(st.booleans()):
        cards["BLANK"] = draw(st.sampled_from([100, 0, 101]))
    if kind[0] == "f" and draw(st.booleans()):
        stored[draw(st.integers(0, 23))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return stored, cards


@st.composite
def psfs(draw: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a PSF image of any size, centre, sum and fault, and the options of its use."""
    side = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    y, x = np.indices(side)
    at = [draw(st.floats(-0.3, 1.3)) * (n - 1) for n in side]
    data = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 2 / draw(st.floats(0.3, 6.0)) ** 2)
    fault = draw(
        st.sampled_from(["none", "none", "nan", "negative", "zero", "pedestal", "inf", "huge", "tiny", "noise"])
    )
    if fault in ("nan", "inf"):
        data[side[0] // 2, side[1] // 2] = np.nan if fault == "nan" else np.inf
    factor = {"negative": -1.0, "zero": 0.0, "huge": 1e300, "tiny": 1e-300}.get(fault, 1.0)
    data = data * factor + (0.01 if fault == "pedestal" else 0.0)
    if fault == "noise":
        data = data + np.random.default_rng(1).normal(0, 0.3, side)
    options = {
        "oversampling": draw(st.sampled_from([1.0, 3.0, 0.5])),
        "kind": draw(st.sampled_from(["effective", "optical"])),
    }
    return data, options | {"position": draw(st.sampled_from(["centroid", "given"]))}


@st.composite
def weights(draw: Any) -> tuple[np.ndarray, np.ndarray, str, float, str]:
    """Return an image, a map of its noise as it is stored, the kind that is given, a unit factor and the true kind."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    sigma = draw(st.sampled_from([1e-3, 1.0, 50.0])) * np.where(
        np.arange(60) < 30, 1.0, draw(st.sampled_from([1.0, 3.0]))
    )
    image = rng.normal(size=(60, 60)) * sigma
    true, given = (
        draw(st.sampled_from(["rms", "variance", "weight"])),
        draw(st.sampled_from(["rms", "variance", "weight"])),
    )
    power = {"rms": 1, "variance": 2, "weight": -2}[true]
    stored = (sigma * np.ones((60, 1))) ** power
    fault = draw(st.sampled_from(["none", "none", "nan", "zero", "negative", "image"]))
    if fault == "nan":
        stored[:5] = np.nan
    if fault == "zero":
        stored[:, :7] = 0.0
    if fault == "negative":
        stored = -stored
    if fault == "image":
        stored = image
    return image, stored, given, float(np.median(sigma)), "no map" if fault in ("negative", "image") else true


def judge_config(text: str, folder: Path) -> str:
    """A configuration is read whole, every number finite, or refused."""
    path = folder / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    config = load_config(read_config_file(path))
    numbers = [value for value in _values(config.model_dump()) if isinstance(value, float)]
    return RIGHT if np.isfinite(numbers).all() else f"{WRONG}: a number that is not finite was taken"


def _values(content: Any) -> Iterator[Any]:
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list | tuple):
        for value in content:
            yield from _values(value)
    else:
        yield content


def judge_override(text: str, folder: Path) -> str:
    """An override is read, every number of it finite, or refused."""
    override = parse_override(text, "overrides/7.dat")
    values = [] if override is None else [p.value for p in override.parameters]
    return RIGHT if np.isfinite(values).all() else f"{WRONG}: a value that is not finite was taken"


def judge_regions(text: str, folder: Path) -> str:
    """A region file masks pixels, or is refused."""
    regions, _ = parse_regions(text, "x.reg")
    mask = region_mask(regions, WCS(fits.Header(HEADER)), (30, 40))
    return RIGHT if mask.shape == (30, 40) else f"{WRONG}: the mask has another shape"


def judge_sources(text: str, folder: Path) -> str:
    """A list of sources is read, IDs unique and positions on the sky, or refused."""
    path = folder / "sources.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = read_source_list(str(path))
    good = (
        len(np.unique(found["id"])) == len(found)
        and np.all(np.abs(found["dec"]) <= 90)
        and np.isfinite(found["ra"]).all()
    )
    return RIGHT if good else f"{WRONG}: IDs or positions that cannot be"


def judge_header(cards: dict[str, Any], folder: Path) -> str:
    """Positions are those of Astropy, in ICRS, or the header is refused."""
    path = folder / "image.fits"
    header = fits.Header()
    for name, value in cards.items():
        header[name] = "NaN" if isinstance(value, float) and np.isnan(value) else value
    shape = (2, 30, 40) if "NAXIS3" in cards else (30, 40)
    header.pop("NAXIS3", None)
    fits.PrimaryHDU(np.zeros(shape, dtype=np.float32), header).writeto(path, overwrite=True)
    wcs = read_wcs(str(path))
    y, x = np.array([0.0, 12.0, 29.0]), np.array([0.0, 25.0, 39.0])
    ra, dec = pixel_to_sky(wcs, y, x)
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        return f"{WRONG}: positions that are not finite"
    if not ((ra >= 0) & (ra < 360)).all():
        return f"{WRONG}: right ascensions that are not from 0 to 360 degrees"
    try:
        other = WCS(_plain(header), naxis=2)
        # pixel_to_skycoord would also swap the axes of the pixels where the first axis is the latitude
        world = other.all_pix2world(x, y, 0)
        frame = wcs_to_celestial_frame(other)
        expected = SkyCoord(world[other.wcs.lng], world[other.wcs.lat], unit="deg", frame=frame).icrs
    except Exception:
        return RIGHT  # Astropy cannot read it: there is no truth to compare with
    apart = SkyCoord(ra, dec, unit="deg").separation(expected).arcsec.max()
    return RIGHT if apart < 2e-3 else f"{WRONG}: {apart:.3g} arcsec from Astropy's position"


def _plain(header: fits.Header) -> fits.Header:
    """Return a header as Astropy reads it without a guess.

    The CD matrix alone where it stands beside a PC matrix, CDELT or CROTA; numbers as numbers; standard names.
    """
    result = header.copy()
    if any(name.startswith("CD") and name[2:3].isdigit() for name in result):
        for name in ("PC1_1", "PC1_2", "PC2_1", "PC2_2", "CDELT1", "CDELT2", "CROTA2"):
            result.pop(name, None)
    for name in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"):
        if name in result:
            result[name] = float(result[name])
    if isinstance(result.get("EQUINOX"), str):
        result["EQUINOX"] = float(result["EQUINOX"].lstrip("JB"))
    for name in ("CUNIT1", "CUNIT2"):
        result[name] = {"degree": "deg", "": "deg"}.get(str(result.get(name, "deg")), result.get(name, "deg"))
    if isinstance(result.get("RADESYS"), str):
        result["RADESYS"] = result["RADESYS"].upper()
    return result


def judge_pixels(case: tuple[np.ndarray, dict[str, Any]], folder: Path) -> str:
    """Pixels have the values that the standard defines: BZERO + BSCALE × stored, BLANK unknown."""
    stored, cards = case
    path = folder / "pixels.fits"
    raw = fits.PrimaryHDU(stored)
    raw.header.update(cards)
    # The pixels are written as they are stored, whatever the cards say.
    data = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(raw.header.tostring().encode() + data + b"\0" * (-len(data) % 2880))
    expected = cards.get("BZERO", 0.0) + cards.get("BSCALE", 1.0) * stored.astype(float)
    if "BLANK" in cards and stored.dtype.kind in "iu":
        expected[stored == cards["BLANK"]] = np.nan
    expected[~np.isfinite(expected)] = np.nan
    found = read_array(str(path))
    same = np.array_equal(np.nan_to_num(found, nan=7.7e77), np.nan_to_num(expected, nan=7.7e77))
    return RIGHT if same or np.allclose(found, expected, rtol=1e-12, equal_nan=True) else f"{WRONG}: pixel values"


def judge_psf(case: tuple[np.ndarray, dict[str, Any]], folder: Path) -> str:
    """A PSF ends finite, of unit sum, centred on the middle pixel of an odd array, or is refused."""
    data, options = case
    psf = prepare_psf(data, name="x.fits", **options)
    good = np.isfinite(psf.data).all() and abs(psf.data.sum() - 1.0) < 1e-6 and all(n % 2 for n in psf.data.shape)
    return RIGHT if good else f"{WRONG}: a PSF that is not finite, of another sum, or even"


def judge_weight(case: tuple[np.ndarray, np.ndarray, str, float, str], folder: Path) -> str:
    """The inverse variance is that of the pixels, up to the unit of a weight, or the map is refused."""
    image, stored, given, noise, true = case
    path = folder / "weight.fits"
    fits.writeto(path, stored, overwrite=True)
    weight = checked_weight({"file": str(path), "kind": given}, image, "ks")
    used = weight > 0
    ratio = float(np.median((image * np.sqrt(weight))[used] ** 2)) ** 0.5 / 0.6745
    # A map of weights may have any unit: its scale is measured. Other kinds have that of the image.
    fine = true == given or given == "weight" or 0.25 < ratio < 4.0
    return (
        RIGHT
        if fine and true != "no map"
        else f"{WRONG}: {true} taken as {given}, {ratio:.3g} times the noise {noise:g}"
    )


KINDS: dict[str, tuple[st.SearchStrategy, Callable[[Any, Path], str]]] = {
    "configuration": (mutated(CONFIG), judge_config),
    "override": (mutated(OVERRIDE), judge_override),
    "regions": (mutated(REGIONS), judge_regions),
    "source list": (mutated(SOURCES), judge_sources),
    "header": (headers(), judge_header),
    "pixels": (pixels(), judge_pixels),
    "PSF": (psfs(), judge_psf),
    "weight map": (weights(), judge_weight),
}
"""By kind of input: how it is mutated, and how the result is judged."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after some seconds of processor time: a busy machine is no hang."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judge(kind: str, case: Any, folder: Path) -> tuple[str, str]:
    """Return the verdict on a mutated input and its explanation: a sentence, or what is wrong."""
    try:
        with time_limit(LONGEST_S), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = KINDS[kind][1](case, folder)
    except UnblendError as error:
        text = str(error)
        return (SENTENCE, text) if 10 < len(text) < LONGEST_SENTENCE else (TRACEBACK, f"no sentence: {text[:200]!r}")
    except TimeoutError:
        return HANG, repr(case)[:500]
    except Exception:
        return TRACEBACK, traceback.format_exc()[-1500:]
    verdict, _, why = found.partition(": ")
    return verdict, why
