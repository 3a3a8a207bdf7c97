"""Small fields with the file names, extensions and header keywords of the pipelines of eight instruments.

The sky is that of `smallfield`: Gaussian galaxies, whose fluxes in microjansky are known. Each instrument has its own
pixels, PSF, unit and companions (weight maps, PSFs). The headers follow the documented keyword lists: JWST pipeline
(level 3, i2d), AstroDrizzle, the IRAC Instrument Handbook, the pipelines of HSC and MUSE, ESO's phase 3 standard, the
Euclid MER mosaics and the level-2 spectral images of SPHEREx.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import smallfield
from astropy.io import fits
from astropy.wcs import WCS

UJY_PER_FLUX = 0.1
"""Microjansky of a galaxy of flux 1."""
SR_PER_ARCSEC2 = (math.pi / 180.0 / 3600.0) ** 2
MICRON_FLUX = 1e-6 * 1e-23 * 2.99792458e18
"""f_lambda in erg/s/cm2/Angstrom times lambda^2 (Angstrom^2) of one microjansky."""
PHOTFLAM, PHOTPLAM = 7.0331e-20, 8045.53
UJY_PER_ELECTRON_S = PHOTFLAM * PHOTPLAM**2 / MICRON_FLUX


@dataclass(frozen=True)
class Instrument:
    """Pixels and PSF (sigma of a Gaussian) in arcsec, noise in microjansky a pixel, one image unit in microjansky.

    `write` receives the folder, the image in its units, the noise in these units, the WCS and the instrument.
    """

    band: str
    scale: float
    sigma: float
    rms_ujy: float
    unit_ujy: float
    write: Callable[[Path, np.ndarray, float, WCS, Instrument], None]
    margin: int = 2


def sky_of(instrument: Instrument) -> tuple[np.ndarray, WCS]:
    """Return the image without noise in microjansky, and its WCS."""
    ny, nx = smallfield.SMALL.shape(smallfield.SHARP)
    ratio = smallfield.SCALE_ARCSEC[smallfield.SHARP] / instrument.scale
    shape = tuple(round(side * ratio) + 2 * instrument.margin for side in (ny, nx))
    wcs = WCS(naxis=2)
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.crval = smallfield.TARGET["ra"], smallfield.TARGET["dec"]
    wcs.wcs.cdelt = -instrument.scale / 3600.0, instrument.scale / 3600.0
    wcs.wcs.ctype, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], "ICRS"
    image = np.zeros(shape)
    for galaxy in smallfield.SMALL.galaxies:
        y = (shape[0] - 1) / 2 + ratio * (galaxy.y - (ny - 1) / 2)
        x = (shape[1] - 1) / 2 + ratio * (galaxy.x - (nx - 1) / 2)
        sigma = [math.hypot(s, instrument.sigma) / instrument.scale for s in galaxy.sigma_arcsec]
        rows = smallfield.in_pixels(shape[0], y, sigma[1])
        image += UJY_PER_FLUX * galaxy.flux * np.outer(rows, smallfield.in_pixels(shape[1], x, sigma[0]))
    return image, wcs


def write_instrument(folder: Path, instrument: Instrument, seed: int) -> None:
    """Write image, weight maps and PSF of an instrument."""
    folder.mkdir(parents=True, exist_ok=True)
    sky, wcs = sky_of(instrument)
    noise = np.random.default_rng(seed).normal(0.0, instrument.rms_ujy, sky.shape)
    image, rms = (sky + noise) / instrument.unit_ujy, instrument.rms_ujy / instrument.unit_ujy
    instrument.write(folder, image.astype(np.float32), rms, wcs, instrument)


def psf_of(instrument: Instrument, oversampling: int = 1, side: int = 41) -> np.ndarray:
    """Return the PSF on pixels finer by `oversampling`, integrated over these."""
    profile = smallfield.in_pixels(side, (side - 1) / 2, instrument.sigma / instrument.scale * oversampling)
    return np.outer(profile, profile).astype(np.float32)


def effective_psf(instrument: Instrument, oversampling: int, side: int) -> np.ndarray:
    """Return the PSF with the response of the image pixel, at each of the finer pixels."""
    edges = (np.arange(side) - (side - 1) / 2) / oversampling
    width = instrument.sigma / instrument.scale
    profile = np.array([smallfield.in_pixels(1, -edge, width)[0] for edge in edges])
    psf = np.outer(profile, profile)
    return (psf / psf.sum()).astype(np.float32)


def hdu(data: np.ndarray, wcs: WCS | None = None, name: str = "", **cards: object) -> fits.ImageHDU:
    """Return an extension with a WCS and cards."""
    header = wcs.to_header() if wcs is not None else fits.Header()
    header.update(cards)
    return fits.ImageHDU(data, header, name=name or None)


def primary(data: np.ndarray | None, wcs: WCS | None = None, **cards: object) -> fits.PrimaryHDU:
    """Return a primary HDU with a WCS and cards."""
    header = wcs.to_header() if wcs is not None else fits.Header()
    header.update(cards)
    return fits.PrimaryHDU(data, header)


def jwst(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """NIRCam: an i2d file of stage 3, and an STPSF file with its four extensions."""
    constant = np.full_like(image, rms)
    area = (own.scale**2) * SR_PER_ARCSEC2
    sci = {"BUNIT": "MJy/sr", "PIXAR_SR": area, "PIXAR_A2": own.scale**2, "PHOTMJSR": 0.3877, "PHOTUJA2": 9.11}
    maps = {"ERR": constant, "CON": np.ones((1, *image.shape), np.int32), "WHT": constant**-2,
            "VAR_POISSON": 0.1 * constant**2, "VAR_RNOISE": 0.9 * constant**2, "VAR_FLAT": 0.0 * constant}  # fmt: skip
    head = primary(None, TELESCOP="JWST", INSTRUME="NIRCAM", FILTER="F200W", PUPIL="CLEAR", DETECTOR="MULTIPLE")
    others = [hdu(data, wcs if data.ndim == 2 else None, name) for name, data in maps.items()]
    fits.HDUList([head, hdu(image, wcs, "SCI", **sci), *others]).writeto(
        folder / "jw01837-o004_t004_nircam_clear-f200w_i2d.fits"
    )
    over, det = psf_of(own, 4, 121), psf_of(own, 1, 31)
    cards = {"INSTRUME": "NIRCam", "FILTER": "F200W", "OVERSAMP": 4, "DET_SAMP": 4}
    psfs = [primary(over, EXTNAME="OVERSAMP", PIXELSCL=own.scale / 4, **cards)]
    for name, data, step in [("DET_SAMP", det, 1), ("OVERDIST", over, 4), ("DET_DIST", det, 1)]:
        psfs.append(hdu(data, None, name, PIXELSCL=own.scale / step, **cards))
    fits.HDUList(psfs).writeto(folder / "PSF_NIRCam_F200W.fits")


def hst(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """ACS: a drizzled image with its weight map beside it, as projects release them."""
    cards = {"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC", "FILTER1": "CLEAR1L", "FILTER2": "F814W",
             "EXPTIME": 2028.0, "BUNIT": "ELECTRONS/S", "PHOTFLAM": PHOTFLAM, "PHOTPLAM": PHOTPLAM,
             "PHOTZPT": -21.1, "PHOTMODE": "ACS WFC1 F814W MJD#53000.0"}  # fmt: skip
    primary(image, wcs, **cards).writeto(folder / "hlsp_test_hst_acs_f814w_v1_drz.fits")
    primary(np.full_like(image, rms**-2), wcs, **cards).writeto(folder / "hlsp_test_hst_acs_f814w_v1_wht.fits")
    primary(effective_psf(own, 1, 31)).writeto(folder / "hlsp_test_hst_acs_f814w_v1_psf.fits")


def irac(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """IRAC: the mosaic of MOPEX with its uncertainty and coverage, and a PRF of pixels five times finer."""
    cards = {"TELESCOP": "Spitzer", "INSTRUME": "IRAC", "CHNLNUM": 1, "EXPTIME": 93.6, "BUNIT": "MJy/sr",
             "PXSCAL1": -own.scale, "PXSCAL2": own.scale}  # fmt: skip
    stem = "SPITZER_I1_4958976_0000_5_E860"
    primary(image, wcs, **cards).writeto(folder / f"{stem}0001_maic.fits")
    primary(np.full_like(image, rms), wcs, **cards).writeto(folder / f"{stem}0002_munc.fits")
    primary(np.full_like(image, 12.0), wcs, **{**cards, "BUNIT": ""}).writeto(folder / f"{stem}0003_mcov.fits")
    psf = primary(effective_psf(own, 5, 101), CD1_1=-own.scale / 5 / 3600, CD2_2=own.scale / 5 / 3600, CD1_2=0.0)
    psf.writeto(folder / "irac_ch1_prf.fits")


def hsc(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """HSC: a coadd of the LSST pipeline, with mask and variance, and a PSF of the PSF picker."""
    head = primary(None, TELESCOP="Subaru", INSTRUME="Hyper Suprime-Cam", FILTER="HSC-I", FLUXMAG0=63095734448.0194)
    planes = [hdu(image, wcs, "IMAGE"), hdu(np.zeros(image.shape, np.int32), wcs, "MASK"),
              hdu(np.full_like(image, rms**2), wcs, "VARIANCE")]  # fmt: skip
    fits.HDUList([head, *planes]).writeto(folder / "cutout-HSC-I-9813-pdr3_dud.fits")
    primary(effective_psf(own, 1, 43)).writeto(folder / "psf-calexp-pdr3_dud-HSC-I-9813.fits")


def vista(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """VISTA: a tile in ESO's phase 3 standard, whose zero point is said to be AB, with its weight map."""
    cards = {"TELESCOP": "ESO-VISTA", "INSTRUME": "VIRCAM", "FILTER": "Ks", "BUNIT": "ADU", "PHOTSYS": "AB",
             "PHOTZP": 23.9 - 2.5 * math.log10(own.unit_ujy)}  # fmt: skip
    primary(image, wcs, **cards).writeto(folder / "UVISTA_Ks_sci.fits")
    primary(np.full_like(image, rms**-2), wcs, **cards).writeto(folder / "UVISTA_Ks_weight.fits")
    primary(effective_psf(own, 1, 43)).writeto(folder / "UVISTA_Ks_psf.fits")


def muse(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """MUSE: a white-light image with the variance in STAT, and its unit per wavelength."""
    unit = "10**(-20)*erg/s/cm**2/Angstrom"
    head = primary(None, TELESCOP="ESO-VLT-U4", INSTRUME="MUSE", OBJECT="UDF (white)")
    planes = [hdu(image, wcs, "DATA", BUNIT=unit), hdu(np.full_like(image, rms**2), wcs, "STAT", BUNIT=f"({unit})**2")]
    fits.HDUList([head, *planes]).writeto(folder / "IMAGE_UDF-10.fits")
    primary(effective_psf(own, 1, 43), CD1_1=-own.scale / 3600, CD2_2=own.scale / 3600).writeto(
        folder / "muse_white_psf.fits"
    )


def euclid(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """Euclid: a MER mosaic, and its map of the noise, whose names differ in checksum and time."""
    cards = {"TELESCOP": "Euclid", "INSTRUME": "VIS", "FILTER": "VIS",
             "MAGZERO": 23.9 - 2.5 * math.log10(own.unit_ujy)}  # fmt: skip
    primary(image, wcs, **cards).writeto(
        folder / "EUC_MER_BGSUB-MOSAIC-VIS_TILE102018211-ACBD03_20241018T142710.276838Z_00.00.fits"
    )
    primary(np.full_like(image, rms), wcs, **cards).writeto(
        folder / "EUC_MER_MOSAIC-VIS-RMS_TILE102018211-1D0E59_20241018T142710.276857Z_00.00.fits"
    )
    primary(effective_psf(own, 1, 43)).writeto(folder / "vis_psf.fits")


def spherex(folder: Path, image: np.ndarray, rms: float, wcs: WCS, own: Instrument) -> None:
    """SPHEREx: a level-2 spectral image, with the PSFs of 121 zones in a cube, ten times finer than the pixels."""
    head = primary(None, TELESCOP="SPHEREx", INSTRUME="SPHEREx", DETECTOR=2)
    psfs = np.repeat(effective_psf(own, 10, 101)[None], 121, axis=0)
    planes = [hdu(image, wcs, "IMAGE", BUNIT="MJy/sr"), hdu(np.zeros(image.shape, np.int32), wcs, "FLAGS"),
              hdu(np.full_like(image, rms**2), wcs, "VARIANCE", BUNIT="MJy2/sr2"),
              hdu(np.zeros_like(image), wcs, "ZODI", BUNIT="MJy/sr"), hdu(psfs, None, "PSF", OVERSAMP=10)]  # fmt: skip
    fits.HDUList([head, *planes]).writeto(folder / "level2_2025W18_2B_0001_1D2_spx_l2b-v12.fits")


def mjy_per_sr(scale: float) -> float:
    """Return one MJy/sr in pixels of `scale` arcsec in microjansky."""
    return 1e12 * scale**2 * SR_PER_ARCSEC2


INSTRUMENTS = {
    "jwst": Instrument("f200w", 0.06, 0.06, 0.002, mjy_per_sr(0.06), jwst, margin=0),
    "hst": Instrument("f814w", 0.06, 0.06, 0.002, UJY_PER_ELECTRON_S, hst, margin=0),
    "irac": Instrument("irac-ch1", 0.6, 0.7, 0.05, mjy_per_sr(0.6), irac, margin=20),
    "hsc": Instrument("hsc-i", 0.168, 0.28, 0.005, 10 ** (0.4 * (23.9 - 27.0)), hsc),
    "vista": Instrument("ks", 0.15, 0.3, 0.005, 10 ** (0.4 * (23.9 - 30.0)), vista),
    "muse": Instrument("muse-white", 0.2, 0.28, 0.005, 1e-20 * 6664.0**2 / MICRON_FLUX, muse),
    "euclid": Instrument("vis", 0.1, 0.08, 0.002, 10 ** (0.4 * (23.9 - 24.6)), euclid),
    "spherex": Instrument("spherex-d2", 6.15, 2.6, 0.5, mjy_per_sr(6.15), spherex, margin=15),
}
