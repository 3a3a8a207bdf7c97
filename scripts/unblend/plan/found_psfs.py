"""PSFs found beside the images: which belongs to which, how it is sampled, and whether it includes the pixel."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.filters import wavelength_um
from ..field.prepared_psf import OPTICAL_OVERSAMPLING
from ..images.psf import fwhm, prepare_psf
from ..io.header_numbers import positive
from ..io.images import image_extensions, read_array, read_header, read_shape
from ..io.psf_sampling import stated_pixels_arcsec, stated_sampling
from ..io.selections import split_extension
from .file_roles import PSF_WORDS, stem_of, words_of

APERTURE_M = {"jwst": 6.5, "nircam": 6.5, "miri": 6.5, "niriss": 6.5, "hst": 2.4, "acs": 2.4, "wfc3": 2.4, "wfpc2": 2.4}
"""Diameters in metres of the mirrors of telescopes that reach their diffraction limit."""
IRAC_FWHM_ARCSEC = {1: 1.66, 2: 1.72, 3: 1.88, 4: 1.98}
"""FWHM of the PSF by channel: IRAC Instrument Handbook, table 2.1."""
IRAC_PIXEL_ARCSEC = {1: 1.221, 2: 1.213, 3: 1.222, 4: 1.220}
"""Pixel of the detector by channel, in which the PRFs are sampled: IRAC Instrument Handbook, table 2.1."""
_RESAMPLING = re.compile(r"(?:^|[._-])(?:x(\d{1,3})|(\d{1,3})x)(?=[._-]|$)", re.IGNORECASE)
"""How often a PRF of IRAC samples a detector pixel, in the name of its file: IRAC.1.EXTPRF.5X, apex_sh_IRAC1_…_x100."""
COARSEST = 1.7
"""A PSF whose FWHM on the pixels of the image would be below this factor of that of the telescope has these pixels:
drizzling and measuring broaden it by up to a factor 1.5."""
UNIQUE_SAMPLING = 2
"""Largest sampling that the FWHM alone tells from the next one."""
LARGEST_GUESS = 20
"""Largest sampling that is guessed from the FWHM."""
_OPTICAL_EXTENSIONS = ("OVERDIST", "OVERSAMP")
"""Extensions of STPSF (WebbPSF) with the oversampled PSF, which does not include the pixel of the detector; the first
includes the distortion of the detector."""


@dataclass(frozen=True)
class FoundPsf:
    """A PSF that seems to belong to a band.

    Parameters
    ----------
    file : str
        Name with the extension.
    oversampling : float
        PSF pixels per image pixel.
    kind : str
        effective or optical, as `psf_kind`.
    fwhm_arcsec : float
    reason : str
        What the sampling is from.
    certain : bool
        Whether the header tells the sampling.
    kind_certain : bool
        Whether the file tells the kind.
    """

    file: str
    oversampling: float
    kind: str
    fwhm_arcsec: float
    reason: str
    certain: bool
    kind_certain: bool = True


def psf_candidates(files: Sequence[str], image: str, band: str) -> list[str]:
    """Return the PSF files that may be those of an image, the likeliest first.

    First the file that is named as the image is; then those whose name has the words of the band.

    Parameters
    ----------
    files : sequence of str
        Files that are PSFs by their names.
    image : str
        File of the image.
    band : str
    """
    own, parts = words_of(stem_of(image)), set(re.split(r"[^a-z0-9]+", band.lower()))
    exact = [file for file in files if words_of(stem_of(file)) == own]
    others = [file for file in files if file not in exact and _names_band(file, band.lower(), parts)]
    return exact + others


def _names_band(file: str, band: str, parts: set[str]) -> bool:
    text = re.sub(r"[^a-z0-9]+", "-", stem_of(file).lower())
    # Tiny Tim adds two digits to the name that one gives: acs_f606w00_psf.fits
    words = {re.sub(r"^(f\d{3}[a-z]+)\d\d$", r"\1", word) for word in text.split("-")} - PSF_WORDS
    channel = _irac_channel(band)
    if channel and re.search(rf"(?:^|-)(?:i|ch|iracpc|irac-?){channel}(?:-|$)", text):
        return True
    return parts <= words or (len(parts) > 1 and "".join(sorted(parts)) in words)


def _irac_channel(band: str) -> int | None:
    match = re.fullmatch(r"(?:spitzer-)?irac-?(?:ch)?([1-4])|ch([1-4])", band)
    return int(match[1] or match[2]) if match else None


def found_psf(file: str, scale_arcsec: float, band: str, instrument: str) -> FoundPsf:
    """Return a PSF with its sampling for an image with pixels of `scale_arcsec`.

    Parameters
    ----------
    file : str
    scale_arcsec : float
        Pixel scale of the image.
    band, instrument : str
        Name of the band, and of telescope and instrument: they tell the width of the PSF of some.

    Raises
    ------
    UnblendError
        The file is not an image of a PSF.
    """
    name = _selected(file)
    header = read_header(name)
    data = read_array(name)
    width = fwhm(prepare_psf(data, name=name))
    pixel = next(iter(stated_pixels_arcsec(name, header).values()), None)
    stated, channel, match = stated_sampling(header), _irac_channel(band), _RESAMPLING.search(stem_of(file))
    resampling = positive(header, "PRFXRSMP") or (float(match[1] or match[2]) if match else None)
    certain = True
    if pixel is not None:
        sampling, reason = scale_arcsec / pixel, f'pixels of {pixel:.4g}" by its header'
    elif stated is not None:
        sampling, reason = stated.value, f"{stated.card} = {stated.value:g} in its header"
    elif channel and resampling:
        detector = IRAC_PIXEL_ARCSEC[channel]
        sampling, reason = (
            scale_arcsec / detector * resampling,
            f'a PRF with pixels of {detector:.4g}" / {resampling:g}',
        )
    else:
        sampling, reason = _likely_sampling(width, scale_arcsec, band, instrument)
        certain = False
    sampling = float(round(sampling)) if abs(sampling - round(sampling)) < 5e-3 * sampling else float(f"{sampling:.4g}")
    kind, kind_certain = _kind(name, header, sampling, measured=channel is not None)
    return FoundPsf(name, sampling, kind, width / sampling * scale_arcsec, reason, certain, kind_certain)


def _kind(name: str, header: Mapping[str, object], sampling: float, *, measured: bool) -> tuple[str, bool]:
    """Return whether a PSF includes the response of the image pixel, and whether the file tells it."""
    if re.search(r"\[(OVERDIST|OVERSAMP)\]$", name):
        return "optical", True
    fine = sampling >= OPTICAL_OVERSAMPLING
    if "SPHERICL" in header and "X_CLOVER" in header:  # aberrations, as Tiny Tim writes them
        return "optical" if fine else "effective", True
    return "effective", measured or not fine or "[PSF]" in name


def _selected(file: str) -> str:
    """Return a file with the extension of the PSF where it has several: of STPSF the oversampled one."""
    if split_extension(file)[1] is not None:
        return file
    names = image_extensions(file)[1].values()
    extension = next((each for each in _OPTICAL_EXTENSIONS if each in names), None)
    name = f"{file}[{extension}]" if extension else file
    read_shape(name)
    return name


def _likely_sampling(width: float, scale_arcsec: float, band: str, instrument: str) -> tuple[float, str]:
    """Return the whole number of PSF pixels per image pixel that gives the PSF the width of the telescope.

    Parameters
    ----------
    width : float
        FWHM in PSF pixels.
    scale_arcsec, band, instrument
        As in `found_psf`.
    """
    expected = _expected_fwhm(scale_arcsec, band, instrument)
    broader = 1.0 if expected is None else width * scale_arcsec / expected
    if expected is None or broader < COARSEST:
        return 1.0, "no pixel size in its header; taken as that of the image"
    sampling = min(LARGEST_GUESS, round(broader))
    found = width * scale_arcsec / sampling
    others = f"; {sampling - 1} and {sampling + 1} are possible, too" if sampling > UNIQUE_SAMPLING else ""
    return float(
        sampling
    ), f'no pixel size in its header; so its FWHM is {found:.2f}" ({expected:.2f}" expected){others}'


def _expected_fwhm(scale_arcsec: float, band: str, instrument: str) -> float | None:
    """Return the FWHM in arcsec of a diffraction-limited telescope, with the pixel of the image, or of IRAC."""
    channel = _irac_channel(band)
    if channel:
        return IRAC_FWHM_ARCSEC[channel]
    diameter = next((d for word, d in APERTURE_M.items() if word in re.split(r"[^a-z0-9]+", instrument.lower())), None)
    wavelength = wavelength_um(band)
    if diameter is None or wavelength is None:
        return None
    return math.hypot(1.03 * math.degrees(wavelength * 1e-6 / diameter) * 3600.0, 0.8 * scale_arcsec)


def psf_advice(band: str, instrument: str) -> str:
    """Return where one gets a PSF of a band."""
    stars = "the stars of the image (psf: {stars: auto})"
    if any(word in instrument for word in ("jwst", "nircam", "miri", "niriss")):
        return f"STPSF (https://stpsf.readthedocs.io), or {stars}"
    if any(word in instrument for word in ("hst", "acs", "wfc3", "wfpc2")):
        return f"Tiny Tim, the PSF library of STScI, or {stars}"
    if "irac" in instrument or "irac" in band:
        return "the PRFs of IRAC (https://irsa.ipac.caltech.edu/data/SPITZER/docs/irac/calibrationfiles/psfprf)"
    if "hsc" in instrument or "hyper" in instrument or "hsc" in band:
        return "the PSF picker of HSC-SSP (https://hsc-release.mtk.nao.ac.jp)"
    return f"{stars}, or PSFEx"
