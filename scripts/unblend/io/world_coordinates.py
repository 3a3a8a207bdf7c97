"""World coordinates of headers: read from any celestial header that can be understood, refused by name otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import coordinates
from ..core.celestial import frame_of
from ..core.errors import InputError

if TYPE_CHECKING:
    from astropy.wcs import WCS

_LTM = {"LTM1_1": (0, 0), "LTM1_2": (0, 1), "LTM2_1": (1, 0), "LTM2_2": (1, 1)}
_LTV = {"LTV1": 0, "LTV2": 1}
SKY_CARDS = re.compile(
    r"(WCSNAME|RADESYS|RADECSYS|EQUINOX|EPOCH|MJD-OBS|LONPOLE|LATPOLE|C(TYPE|UNIT|RPIX|RVAL|DELT|ROTA)[12]"
    r"|(CD|PC)[12]_[12]|PV[12]_\d+|(A|B|AP|BP)_(ORDER|DMAX|\d_\d))"
)
"""Keywords of a celestial WCS (FITS papers I and II, SIP), without those of a third axis."""
_ANY_WCS_CARD = re.compile(
    r"WCSAXES[A-Z]?|WCSNAME[A-Z]?|(RADESYS|EQUINOX|LONPOLE|LATPOLE)[A-Z]?|RADECSYS|EPOCH"
    r"|C(TYPE|UNIT|RPIX|RVAL|DELT)\d[A-Z]?|CROTA\d|(CD|PC)\d_\d[A-Z]?|P[VS]\d_\d+[A-Z]?"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|(DP|DQ|CPDIS|CQDIS|CPERR|CQERR)\d[A-Z]?|D2IM.*|WAT\d_\d+|LT[MV]\d(_\d)?"
)
_MATRIX = re.compile(r"C(DELT|ROTA)\d|(CD|PC)\d_\d")
_DISTORTION = re.compile(
    r"(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|(DP|DQ|CPDIS|CQDIS|CPERR|CQERR)\d|D2IM.*|P[VS]\d_\d+|WAT\d_\d+"
)
_NUMBERS = re.compile(r"C(RPIX|RVAL|DELT|ROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d+|LONPOLE|LATPOLE")
_TABLES = re.compile(r"(CPDIS|CQDIS|D2IMDIS)\d|D2IMARR|AXISCORR")
"""Keywords of a distortion that is kept in a table of the file."""
_KEYWORD = re.compile(r"[A-Za-z0-9_-]{1,8}")
_QUOTED_KEYWORD = re.compile(r"Keyword '([^']+)' not found")
_PLACE_IN_WCSLIB = re.compile(r"ERROR \d+ in \w+\(\) at line \d+ of file \S+: ")
_RECORDS = re.compile(r"(DP|DQ|D2IM)\d")
_NOT_COPIED = {
    "COMMENT",
    "SIMPLE",
    "XTENSION",
    "BITPIX",
    "EXTEND",
    "PCOUNT",
    "GCOUNT",
    "HISTORY",
    "CONTINUE",
    "BSCALE",
    "BZERO",
}
_PROJECTIONS = frozenset({"AZP", "SZP", "TAN", "STG", "SIN", "ARC", "ZPN", "ZEA", "AIR", "CYP", "CEA", "CAR", "MER"})
_PROJECTIONS |= {
    "COP",
    "COE",
    "COD",
    "COO",
    "SFL",
    "PAR",
    "MOL",
    "AIT",
    "BON",
    "PCO",
    "TSC",
    "CSC",
    "QSC",
    "HPX",
    "XPH",
}
_PROJECTIONS |= {"XPH", "TPV", "TPU", "TNX", "ZPX", "NCP", "GLS"}
_UNITS = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "arcsec": 1 / 3600, "arcsecs": 1 / 3600, "arcsecond": 1 / 3600}
_UNITS |= {"arcseconds": 1 / 3600, "arcmin": 1 / 60, "arcminute": 1 / 60, "arcminutes": 1 / 60, "mas": 1 / 3.6e6}
_UNITS |= {"rad": math.degrees(1.0), "radian": math.degrees(1.0), "radians": math.degrees(1.0)}
_UNITS |= {"hourangle": 15.0, "hour": 15.0, "hr": 15.0, "h": 15.0, "": 1.0}
"""Degrees in the units of CUNIT, in lower case."""
_SAME_MATRIX = 1e-5
"""CD and PC matrices whose elements differ by less than this fraction of the pixel scale are the same."""
_POLYNOMIAL_ORDER, _TABLE_TOLERANCE_PIXELS = 7, 0.02
"""Order of the SIP polynomial that stands for a distortion in tables, and its largest error."""


LARGEST_ANGLE_DEG = 720.0
"""Largest CRVAL: some files count on beyond 360 degrees, and nothing else is an angle."""


def inherited(primary: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return the cards of an extension with those that it has from the primary header.

    World coordinates are those of the extension alone. With INHERIT = T the primary header fills in what it lacks, but
    the matrix and the distortion of the two are not mixed.

    Parameters
    ----------
    primary, own : mapping
        Cards of the primary header and of the extension.
    """
    inherits = own.get("INHERIT") is True
    matrix, axes = any(map(_MATRIX.fullmatch, own)), "CTYPE1" in own or "CTYPE2" in own
    result: dict[str, object] = {}
    for key, value in primary.items():
        sky = _ANY_WCS_CARD.fullmatch(key)
        mixed = (matrix and _MATRIX.fullmatch(key)) or (axes and _DISTORTION.fullmatch(key))
        if not sky or (inherits and not mixed):
            result[key] = value
    return result | dict(own)


def check_inherited(primary: Mapping[str, object], header: Mapping[str, object], name: str) -> None:
    """Check that world coordinates which only the primary header has are meant for the extension.

    Parameters
    ----------
    primary, header : mapping
        Cards of the primary header, and those of the extension as from `inherited`.
    name : str
        Name of the file and extension for the error message.

    Raises
    ------
    InputError
        The extension has none, and does not inherit those of the primary header.
    """
    if "CTYPE1" in primary and "CTYPE1" not in header and "CTYPE2" not in header:
        raise InputError(
            f"{name} has no celestial WCS (CTYPE1, CTYPE2 …); only its primary header has one. Copy it into the header "
            "of the extension, or add INHERIT = T there."
        )


def needs_tables(header: Mapping[str, object]) -> bool:
    """Return whether the distortion of an image is kept in tables of its file."""
    return any(map(_TABLES.fullmatch, header))


def wcs_from_header(
    header: Mapping[str, object], name: str, *, tables: Any = None, shape: tuple[int, int] | None = None
) -> WCS:
    """Return the celestial WCS of a header.

    Distortion in tables (CPDIS, D2IM) is replaced by a polynomial, which products can have in their headers.

    Parameters
    ----------
    header : mapping
    name : str
        Name of the file for error messages.
    tables : HDUList, optional
        The file, opened with Astropy, and its header in place of `header`: needed for distortion in tables.
    shape : (ny, nx), optional
        Of the image; needed for distortion in tables.

    Raises
    ------
    InputError
        The header has no celestial world coordinates, or they cannot be understood.
    """
    import warnings

    from astropy.wcs import WCS, FITSFixedWarning

    cards = _checked(header, name)
    in_tables = [key for key in header if _TABLES.fullmatch(key)]
    if in_tables and tables is None:
        raise _refused(name, f"distortion in tables ({', '.join(in_tables)}) is not supported here")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(_card_header(cards, header), tables if in_tables else None, naxis=2)
            wcs.wcs.set()
    except Exception as error:  # WCSLIB and Astropy raise many kinds
        raise _refused(name, _reason(error, in_tables)) from error
    if not wcs.has_celestial:
        raise _refused(
            name, f"CTYPE1 = {cards['CTYPE1']!r} and CTYPE2 = {cards['CTYPE2']!r} are not a longitude and a latitude"
        )
    try:
        frame_of(wcs)
    except InputError as error:
        raise _refused(name, str(error)) from None
    if in_tables:
        wcs = _as_polynomial(wcs, shape or (int(header["NAXIS2"]), int(header["NAXIS1"])), name)  # type: ignore[call-overload]
    if shape is not None:
        y, x = (np.array([(side - 1) / 2]) for side in shape)
        if not np.isfinite(coordinates.pixel_to_sky(wcs, y, x)).all():
            raise _refused(name, "the centre of the image is not on the sky by its CRPIX, CRVAL and pixel scale")
        if not coordinates.pixel_scale(wcs, shape) > 0:
            distorted = any(_DISTORTION.fullmatch(key) for key in cards)
            raise _refused(
                name,
                "by its distortion (PV, SIP) the pixels have no area on the sky"
                if distorted
                else "the pixels of the image have no area on the sky by its CRPIX, CRVAL and pixel scale",
            )
    _add_physical_coordinates(wcs, header)
    return wcs


def _refused(name: str, reason: str) -> InputError:
    return InputError(f"{name} has world coordinates that cannot be used: {reason}. Correct the header.")


def _reason(error: Exception, in_tables: list[str]) -> str:
    """Return why WCSLIB or Astropy cannot use a header, without the places in their source code."""
    text = " ".join(str(error).split())[:200].rstrip(".")
    if isinstance(error, KeyError):
        of = f" of the distortion in tables ({', '.join(in_tables)})" if in_tables else ""
        missing = _QUOTED_KEYWORD.search(text)
        return f"the card {missing[1]}{of} is missing" if missing else f"a card{of} is missing: {text}"
    said = _PLACE_IN_WCSLIB.sub("", text)
    return said[:1].lower() + said[1:] if said else type(error).__name__


def _checked(header: Mapping[str, object], name: str) -> dict[str, Any]:
    """Return the cards of a celestial WCS in degrees, with one matrix.

    Raises
    ------
    InputError
        There are none, or one of them has no meaning.
    """
    cards = {key: value for key, value in header.items() if key not in _NOT_COPIED and not key.startswith("NAXIS")}
    types = [str(cards.get(f"CTYPE{axis}", "")).strip().upper() for axis in (1, 2)]
    if not any(types):
        raise InputError(f"{name} has no celestial WCS (CTYPE1, CTYPE2 …). Add an astrometric solution to its header.")
    if not all("-" in kind for kind in types):
        one = sum("-" in kind for kind in types)
        found = f"CTYPE1 = {types[0]!r}, CTYPE2 = {types[1]!r}"
        raise InputError(
            f"{name} has no celestial WCS: {found}; expected two celestial axes such as RA---TAN and DEC--TAN, found "
            f"{one}. Add an astrometric solution to its header."
        )
    cards |= {"CTYPE1": types[0], "CTYPE2": types[1]}
    for kind in types:
        code = kind.split("-", 1)[1].strip("-").split("-")[0]
        if code not in _PROJECTIONS:
            raise _refused(name, f"the projection {code!r} of CTYPE {kind!r} is not known")
    for key in filter(_NUMBERS.fullmatch, list(cards)):
        cards[key] = _finite(cards[key], key, name)
    if "EQUINOX" in cards:
        cards["EQUINOX"] = _finite(str(cards["EQUINOX"]).strip().lstrip("JB"), "EQUINOX", name)
    _choose_matrix(cards, name)
    _convert_units(cards, name)
    if all("TAN" in kind for kind in types) and any(
        re.fullmatch(r"PV1_([5-9]|\d\d)|PV2_[1-9]\d?", key) for key in cards
    ):
        # SCAMP wrote its polynomials under the name of the plain projection before TPV was agreed on.
        cards |= {f"CTYPE{axis}": kind.replace("TAN", "TPV") for axis, kind in enumerate(types, start=1)}
    if "TPV" in str(cards["CTYPE1"]) and any(re.fullmatch(r"PV[12]_\d+", key) for key in cards):
        # the registry of the convention: absent coefficients are 0, these are 1; WCSLIB takes all for 0
        cards = {"PV1_1": 1.0, "PV2_1": 1.0} | cards
    return cards


def _finite(value: object, key: str, name: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _refused(name, f"{key} = {value!r}, expected a number")
    return number


def _choose_matrix(cards: dict[str, Any], name: str) -> None:
    """Keep one matrix: CD, else PC with CDELT, else CDELT with CROTA.

    Raises
    ------
    InputError
        CD and PC are given and disagree, there is no pixel scale, or a pixel has no area.
    """
    step = [cards.get(f"CDELT{axis}", 1.0) for axis in (1, 2)]
    pc = _matrix(cards, "PC", 1.0)
    has_cd, has_pc = (any(re.fullmatch(rf"{word}[12]_[12]", key) for key in cards) for word in ("CD", "PC"))
    if not has_cd and not any(key in cards for key in ("CDELT1", "CDELT2")) and not has_pc:
        raise _refused(name, "it has no pixel scale (CD matrix, or CDELT)")
    matrix = _matrix(cards, "CD", 0.0) if has_cd else np.array(step)[:, None] * pc
    if has_cd and has_pc:
        other = np.array(step)[:, None] * pc
        unused = np.array_equal(pc, np.eye(2)) and step == [1.0, 1.0]
        if not unused and np.abs(other - matrix).max() > _SAME_MATRIX * np.abs(matrix).max():
            raise _refused(
                name, "it has a CD matrix and a PC matrix with CDELT, which disagree; expected one. Remove one of them"
            )
    if not abs(np.linalg.det(matrix)) > 0:
        found = ", ".join(
            f"{key} = {cards[key]:g}" for key in sorted(cards) if re.fullmatch(r"CDELT[12]|(CD|PC)[12]_[12]", key)
        )
        raise _refused(name, f"its pixels have no area on the sky ({found})")
    for key in [key for key in cards if _MATRIX.fullmatch(key)]:
        if (has_cd and not key.startswith("CD")) or (has_cd and key.startswith("CDELT")) or (has_pc and "CROTA" in key):
            del cards[key]


def _matrix(cards: Mapping[str, Any], word: str, diagonal: float) -> np.ndarray:
    return np.array([[cards.get(f"{word}{i}_{j}", diagonal if i == j else 0.0) for j in (1, 2)] for i in (1, 2)])


def _convert_units(cards: dict[str, Any], name: str) -> None:
    """Convert the reference position and the pixel scale of each axis to degrees.

    Raises
    ------
    InputError
        CUNIT is not the unit of an angle, or CRVAL is beyond `LARGEST_ANGLE_DEG`.
    """
    for axis in (1, 2):
        unit = str(cards.get(f"CUNIT{axis}", "")).strip()
        if unit.lower() not in _UNITS:
            known = "deg, arcmin, arcsec, mas, rad, hourangle"
            raise _refused(name, f"CUNIT{axis} = {unit!r} is not the unit of an angle; expected one of {known}")
        factor = _UNITS[unit.lower()]
        cards[f"CUNIT{axis}"] = "deg"
        scaled = [f"CRVAL{axis}", f"CD{axis}_1", f"CD{axis}_2", f"CDELT{axis}"]
        if factor != 1.0 and not any(key in cards for key in scaled[1:]):
            cards[f"CDELT{axis}"] = 1.0
        cards |= {key: factor * cards[key] for key in scaled if key in cards}
        if abs(cards.get(f"CRVAL{axis}", 0.0)) > LARGEST_ANGLE_DEG:
            raise _refused(name, f"CRVAL{axis} = {cards[f'CRVAL{axis}']:g} degrees is not a position on the sky")


def _card_header(cards: Mapping[str, Any], header: Mapping[str, object]) -> Any:
    """Return cards as a header of Astropy; records such as DP1 are taken from `header`, if it is one of Astropy."""
    from astropy.io import fits

    result = fits.Header()
    result["NAXIS"] = 2
    result.update({key: header[key] for key in ("NAXIS1", "NAXIS2") if key in header})
    for key, value in cards.items():
        # Keywords that are longer or that FITS does not allow cannot belong to a WCS, and Astropy warns of each.
        if not _KEYWORD.fullmatch(key) or _RECORDS.match(key):
            continue
        try:
            result.append((key, value), end=True)  # an assignment takes a millisecond in a header of 5000 cards
        except ValueError:
            continue
    if isinstance(header, fits.Header):
        for card in header.cards:
            if _RECORDS.match(card.keyword):
                result.append(card)
    return result


def _as_polynomial(wcs: WCS, shape: tuple[int, int], name: str) -> WCS:
    """Return a WCS whose distortion, in tables and SIP, is one SIP polynomial.

    Raises
    ------
    InputError
        The polynomial is off by more than `_TABLE_TOLERANCE_PIXELS`.
    """
    from astropy.wcs import WCS, Sip

    y, x = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, side - 1, 81) for side in shape), indexing="ij"))
    pixels = np.column_stack([x, y])
    offset = wcs.wcs_world2pix(wcs.all_pix2world(pixels, 0), 0) - pixels
    powers = [(i, j) for i in range(_POLYNOMIAL_ORDER + 1) for j in range(_POLYNOMIAL_ORDER + 1 - i)]
    u, v = (pixels - (wcs.wcs.crpix - 1.0)).T
    size = max(np.abs(u).max(), np.abs(v).max())
    terms = np.column_stack([(u / size) ** i * (v / size) ** j for i, j in powers])
    fitted = np.linalg.lstsq(terms, offset, rcond=None)[0]
    worst = float(np.abs(terms @ fitted - offset).max())
    if not worst <= _TABLE_TOLERANCE_PIXELS:
        raise _refused(
            name,
            f"its distortion in tables differs by up to {worst:.2g} pixels from a polynomial of order "
            f"{_POLYNOMIAL_ORDER}; expected at most {_TABLE_TOLERANCE_PIXELS:g}. Resample the image to a plain grid",
        )
    a, b = np.zeros((2, _POLYNOMIAL_ORDER + 1, _POLYNOMIAL_ORDER + 1))
    for (i, j), (along_x, along_y) in zip(powers, fitted, strict=True):
        a[i, j], b[i, j] = along_x / size ** (i + j), along_y / size ** (i + j)
    result = WCS(wcs.wcs.to_header(relax=True), naxis=2)
    result.wcs.ctype = [f"{kind.removesuffix('-SIP')}-SIP" for kind in wcs.wcs.ctype]
    result.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    result.wcs.set()
    return result


def _add_physical_coordinates(wcs: WCS, header: Mapping[str, object]) -> None:
    """Attach the physical coordinates of LTM and LTV to `wcs`, if the header has valid ones."""
    cards = {key: value for key, value in header.items() if key in _LTM | _LTV and isinstance(value, int | float)}
    if not cards:
        return
    matrix, offset = np.eye(2), np.zeros(2)
    for key, value in cards.items():
        if key in _LTM:
            matrix[_LTM[key]] = value
        else:
            offset[_LTV[key]] = value
    if abs(np.linalg.det(matrix)) > 0:
        coordinates.set_physical_coordinates(wcs, matrix, offset)


def wcs_header(wcs: WCS) -> dict[str, object]:
    """Return the header cards of a WCS, including distortion, as a dictionary."""
    header = wcs.to_header(relax=True)
    if wcs.sip is not None:
        header.update({f"CTYPE{i + 1}": f"{c.removesuffix('-SIP')}-SIP" for i, c in enumerate(wcs.wcs.ctype)})
    dates = {"DATE-OBS", "MJDREF"} | (set() if frame_of(wcs).name == "fk4" else {"MJD-OBS"})
    cards = {key: value for key, value in header.items() if key not in dates}
    if hasattr(wcs, "physical"):  # regions drawn on a product and on the image must mean the same
        matrix, offset = coordinates.physical_transform(wcs)
        cards |= {key: float(matrix[place]) for key, place in _LTM.items()}
        cards |= {key: float(offset[place]) for key, place in _LTV.items()}
    return cards
