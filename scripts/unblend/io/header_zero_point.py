"""The AB zero point of an image from its header: the unit of its pixels, its sensitivity, or a magnitude keyword.

Everything that the header says is read. `read_zero_point` adopts one value, and refuses where there is none or where
two disagree; `zero_points_of` returns all of them, for comparison with a value that a user has given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..core.coordinates import pixel_scale
from ..core.errors import InputError
from ..core.image_units import ImageUnit, image_unit
from ..core.units import STERADIAN_PER_ARCSEC2, jy_of_flux_per_wavelength, zero_point_of_jy
from .header_magnitudes import AB_KEYWORDS, KEYWORDS, ORIGIN_KEYWORDS, SYSTEM_KEYWORDS, magnitude_keywords
from .header_numbers import NotStatedError, positive
from .images import read_comments, read_header, read_shape, read_wcs

SAME_MAG = 0.03
"""Two zero points of a header that differ by more than this contradict each other."""
SAME_AREA = 0.02
"""The pixel area of PIXAR_SR and that of the WCS may differ by this fraction, as with distortion."""
_ELECTRON_INSTRUMENTS = ("ACS", "WFC3")
"""Instruments whose PHOTFLAM is for electrons per second, whatever unit the pixels have."""


@dataclass(frozen=True)
class HeaderZeroPoint:
    """An AB zero point that a header states.

    Parameters
    ----------
    value_ab : float
        AB magnitude of one image unit.
    source : str
        The keywords that it is from, with their values.
    doubt : str
        What the header leaves open about it; empty where nothing is.
    """

    value_ab: float
    source: str
    doubt: str = ""

    def __str__(self) -> str:
        """Return a line for logs and pages."""
        return f"{self.value_ab:.4f} from {self.source}" + (f" ({self.doubt})" if self.doubt else "")


CALIBRATION_KEYWORDS = (
    "BUNIT", "BSOFTEN", "PIXAR_SR", "PHOTFLAM", "PHOTPLAM", "PHOTFNU", "EXPTIME", "TELESCOP", "INSTRUME", "FILTER",
    "FLUXMAG0", *AB_KEYWORDS, *KEYWORDS, *SYSTEM_KEYWORDS, *ORIGIN_KEYWORDS,
)  # fmt: skip
"""All keywords that are read here."""


def calibration_cards(header: Mapping[str, object], comments: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """Return the cards of a header from which its zero point can be read, with their comments, for a cutout."""
    kept = dict.fromkeys(key for key in CALIBRATION_KEYWORDS if isinstance(header.get(key), str | int | float))
    return {key: (header[key], comments.get(key, "")) for key in kept}


def read_zero_point(name: str, *, wavelength_um: float | None = None) -> HeaderZeroPoint:
    """Return the AB zero point of the image `file.fits` or `file.fits[EXT]`.

    Parameters
    ----------
    name : str
    wavelength_um : float, optional
        Pivot wavelength in micrometres, for pixels in flux per wavelength whose header has no PHOTPLAM.

    Raises
    ------
    InputError
        The file cannot be read; the header states no zero point, one that is not AB, or two that disagree.
    """
    return adopted_zero_point(zero_points_of(name, wavelength_um=wavelength_um), name)


def zero_points_of(name: str, *, wavelength_um: float | None = None) -> tuple[list[HeaderZeroPoint], list[str]]:
    """Return all zero points that the header of an image states, as `stated_zero_points` does.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    return stated_zero_points(
        read_header(name),
        comments=read_comments(name),
        wcs_area_sr=lambda: _wcs_area_sr(name),
        wavelength_um=wavelength_um,
    )


def _wcs_area_sr(name: str) -> float:
    return pixel_scale(read_wcs(name), read_shape(name)) ** 2 * STERADIAN_PER_ARCSEC2


def adopted_zero_point(stated: tuple[list[HeaderZeroPoint], list[str]], name: str) -> HeaderZeroPoint:
    """Return the zero point among those that a header states.

    Parameters
    ----------
    stated : tuple of list of HeaderZeroPoint, and list of str
        What `stated_zero_points` returns.
    name : str
        Name of the file for error messages.

    Raises
    ------
    InputError
        There is none, or two disagree.
    """
    found, reasons = stated
    if not found:
        why = "; ".join(reasons) or "expected BUNIT in a unit of flux, PHOTFLAM with PHOTPLAM, MAGZERO or the like"
        raise InputError(f"{name}: no AB zero point found in its header: {why}. Give zero_point as a number.")
    other = next((o for o in found[1:] if abs(o.value_ab - found[0].value_ab) > SAME_MAG), None)
    if other is not None:
        raise InputError(
            f"{name}: its header gives two zero points, {found[0].value_ab:.3f} ({found[0].source}) and "
            f"{other.value_ab:.3f} ({other.source}). Give zero_point as a number."
        )
    return found[0]


def stated_zero_points(
    header: Mapping[str, object],
    *,
    comments: Mapping[str, str] | None = None,
    wcs_area_sr: Callable[[], float] | None = None,
    wavelength_um: float | None = None,
) -> tuple[list[HeaderZeroPoint], list[str]]:
    """Return all zero points that a header states, the most reliable one first, and why others cannot be used.

    Parameters
    ----------
    header : mapping
    comments : mapping of str to str, optional
        Comments of the cards; they may say that a magnitude is AB or Vega.
    wcs_area_sr : callable, optional
        Returns the area of a pixel in steradian by the WCS; called only for a surface brightness.
    wavelength_um : float, optional
        As in `read_zero_point`.
    """
    found: list[HeaderZeroPoint] = []
    reasons: list[str] = []
    if "BSOFTEN" in header:
        return [], ["the pixels are asinh magnitudes of Pan-STARRS (BSOFTEN), which have to be converted to fluxes"]
    readings: list[Callable[[], Iterable[HeaderZeroPoint | NotStatedError]]] = [
        lambda: _of_unit(header, wcs_area_sr, wavelength_um),
        lambda: _of_sensitivity(header),
        lambda: _of_magnitudes(header, comments or {}),
    ]
    for reading in readings:
        try:
            for statement in reading():
                found += [statement] if isinstance(statement, HeaderZeroPoint) else []
                reasons += [str(statement)] if isinstance(statement, NotStatedError) else []
        except NotStatedError as reason:
            reasons.append(str(reason))
    return found, reasons


def _of_unit(
    header: Mapping[str, object], wcs_area_sr: Callable[[], float] | None, wavelength_um: float | None
) -> Iterator[HeaderZeroPoint]:
    """Yield the zero point of pixels in a flux density; nothing for other pixels.

    Raises
    ------
    NotStatedError
        The unit cannot be understood, or its conversion needs what the header lacks.
    """
    text = str(header.get("BUNIT") or "").strip()
    unit = image_unit(text)
    if unit.kind == "unknown":
        raise NotStatedError(f"BUNIT = {text!r} is not a unit of flux that is recognised")
    if not unit.kind.startswith("flux"):
        return
    scale, source = unit.scale, [f"BUNIT = {text!r}"]
    if unit.kind == "flux density per wavelength":
        pivot, card = _pivot(header, text, wavelength_um)
        scale, source = jy_of_flux_per_wavelength(scale, pivot), [*source, card]
    if unit.per_sr:
        area, card = _pixel_area_sr(header, text, wcs_area_sr)
        scale, source = scale * area, [*source, card]
    yield HeaderZeroPoint(zero_point_of_jy(scale), ", ".join(source))


def _pivot(header: Mapping[str, object], text: str, wavelength_um: float | None) -> tuple[float, str]:
    """Return the pivot wavelength in Angstrom, and what it is from."""
    plam = positive(header, "PHOTPLAM")
    if plam is not None:
        return plam, f"PHOTPLAM = {plam:g}"
    if wavelength_um is None:
        raise NotStatedError(f"BUNIT = {text!r} is a flux per wavelength, and there is no PHOTPLAM; give wavelength")
    return wavelength_um * 1e4, f"wavelength {wavelength_um:g} micrometre"


def _pixel_area_sr(
    header: Mapping[str, object], text: str, wcs_area_sr: Callable[[], float] | None
) -> tuple[float, str]:
    """Return the area of a pixel in steradian, and what it is from: PIXAR_SR, which has to agree with the WCS."""
    given = positive(header, "PIXAR_SR")
    try:
        measured = wcs_area_sr() if wcs_area_sr is not None else None
    except InputError:
        measured = None
    if given is None and measured is None:
        raise NotStatedError(
            f"BUNIT = {text!r} is a surface brightness, and there is neither PIXAR_SR nor a usable WCS"
        )
    if given is None:
        assert measured is not None
        return measured, f"pixel area {measured:.4g} sr of the WCS"
    if measured is not None and abs(given / measured - 1.0) > SAME_AREA:
        raise NotStatedError(
            f"the pixel area is {given:.4g} sr by PIXAR_SR and {measured:.4g} sr by the WCS, "
            f"{2.5 * abs(math.log10(given / measured)):.2f} mag apart (a resampled image may have kept PIXAR_SR)"
        )
    return given, f"PIXAR_SR = {given:.4g}"


def _of_sensitivity(header: Mapping[str, object]) -> Iterator[HeaderZeroPoint]:
    """Yield the zero points of counts from the sensitivity of the instrument (PHOTFLAM with PHOTPLAM, or PHOTFNU).

    The sensitivities are for counts per second. For pixels in other units they mean nothing.

    Raises
    ------
    NotStatedError
        The header does not say what the sensitivity refers to.
    """
    sensitivities = list(_sensitivities(header))
    unit = image_unit(header.get("BUNIT"))
    if not sensitivities or unit.kind not in ("counts", "counts per second", "none"):
        return
    seconds, card = _seconds(header, unit, sensitivities[0])
    _check_gain(header, unit)
    for value_ab, source in sensitivities:
        yield HeaderZeroPoint(value_ab + 2.5 * math.log10(seconds), source + card)


def _sensitivities(header: Mapping[str, object]) -> Iterator[tuple[float, str]]:
    """Yield AB magnitude of one count per second, and the keywords that it is from."""
    flam, plam, fnu = (positive(header, key) for key in ("PHOTFLAM", "PHOTPLAM", "PHOTFNU"))
    if flam is not None and plam is not None:
        value_ab = zero_point_of_jy(jy_of_flux_per_wavelength(flam, plam))
        yield value_ab, f"PHOTFLAM = {flam:.5g}, PHOTPLAM = {plam:.6g}"
    if fnu is not None:
        yield zero_point_of_jy(fnu), f"PHOTFNU = {fnu:.5g}"


def _seconds(header: Mapping[str, object], unit: ImageUnit, sensitivity: tuple[float, str]) -> tuple[float, str]:
    """Return the exposure time by which counts are divided, 1 for counts per second, and how it is named."""
    value_ab, source = sensitivity
    text = str(header.get("BUNIT") or "").strip()
    if unit.kind == "counts per second":
        return 1.0, f", BUNIT = {text!r}"
    exposure = positive(header, "EXPTIME")
    if unit.kind == "none":
        raise NotStatedError(
            f"{source} give {value_ab:.3f} for counts per second, but no BUNIT says whether the pixels are that"
        )
    if exposure is None:
        raise NotStatedError(f"BUNIT = {text!r} are counts, and no EXPTIME says in how many seconds")
    return exposure, f", BUNIT = {text!r}, EXPTIME = {exposure:g}"


def _of_magnitudes(
    header: Mapping[str, object], comments: Mapping[str, str]
) -> Iterator[HeaderZeroPoint | NotStatedError]:
    for card in magnitude_keywords(header, comments):
        yield card if isinstance(card, NotStatedError) else HeaderZeroPoint(*card)


def _check_gain(header: Mapping[str, object], unit: ImageUnit) -> None:
    instrument = str(header.get("INSTRUME") or "").strip().upper()
    if instrument in _ELECTRON_INSTRUMENTS and not unit.electrons:
        raise NotStatedError(
            f"PHOTFLAM of {instrument} is for electrons, and BUNIT = {header.get('BUNIT')!r} may be digital units"
        )
