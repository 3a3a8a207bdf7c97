"""A PSF that changes over an image, drawn with GalSim: its FWHM by 15 %, and its long axis turns.

It is written in the formats of other programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import galsim
import numpy as np
from astropy.io import fits

SIDE, SAMPLING, FWHM = 41, 2.0, 3.0
"""Side of a PSF in its pixels, PSF pixels per image pixel, FWHM in image pixels."""
SHAPE = (120, 200)
"""Shape of the image over which the PSF changes."""


def drawn_psf(y: float, x: float, *, sampling: float = SAMPLING, side: int = SIDE) -> np.ndarray:
    """Return the effective PSF at a pixel position of the image, of unit sum."""
    along, across = x / SHAPE[1], y / SHAPE[0]
    profile = galsim.Moffat(beta=3.5, fwhm=FWHM * (0.93 + 0.15 * along))
    profile = profile.shear(g=0.08, beta=45.0 * (across + along) * galsim.degrees)
    seen = galsim.Convolve(profile, galsim.Pixel(1.0))
    image = seen.drawImage(nx=side, ny=side, scale=1.0 / sampling, method="no_pixel").array.astype(float)
    return image / image.sum()


def image_header(scale_arcsec: float = 0.1) -> fits.Header:
    """Return the header of an image of `SHAPE`, north up."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8})
    header.update({"CRPIX1": (SHAPE[1] + 1) / 2, "CRPIX2": (SHAPE[0] + 1) / 2})
    header.update({"CDELT1": -scale_arcsec / 3600, "CDELT2": scale_arcsec / 3600, "RADESYS": "ICRS"})
    return header


def drawn_grid(rows: Sequence[float], columns: Sequence[float], **keys: float) -> np.ndarray:
    """Return PSFs on a grid of pixel positions, row by row."""
    return np.array([drawn_psf(y, x, **keys) for y in rows for x in columns])  # type: ignore[arg-type]


def write_stdpsf(path: Path, rows: Sequence[float], columns: Sequence[float]) -> np.ndarray:
    """Write PSFs at 0-based rows and columns as an STDPSF file (four PSF pixels per pixel); return them."""
    images = drawn_grid(rows, columns, sampling=4.0, side=81)
    header = fits.Header({"NXPSFS": len(columns), "NYPSFS": len(rows)})
    header.update({f"IPSFX{k:02d}": int(x) + 1 for k, x in enumerate(columns, 1)})
    header.update({f"JPSFY{k:02d}": int(y) + 1 for k, y in enumerate(rows, 1)})
    fits.writeto(path, images * 16.0, header)
    return images


def write_stpsf(path: Path, rows: Sequence[float], columns: Sequence[float]) -> np.ndarray:
    """Write PSFs as STPSF does, (y, x) of each in its header, here column by column; return them row by row."""
    images = drawn_grid(rows, columns)
    places = [(y, x) for x in columns for y in rows]
    header = fits.Header({"OVERSAMP": SAMPLING})
    header.update({f"DET_YX{k}": str(place) for k, place in enumerate(places)})
    fits.writeto(path, np.array([drawn_psf(y, x) for y, x in places]), header)
    return images


def write_psfex(path: Path, degree: int = 2, *, names: tuple[str, str] = ("X_IMAGE", "Y_IMAGE")) -> np.ndarray:
    """Write the polynomial that fits the PSF best as PSFEx does; return its coefficients."""
    zero, scale = np.array([SHAPE[1] + 1, SHAPE[0] + 1]) / 2, np.array([SHAPE[1], SHAPE[0]]) / 2.0
    rows, columns = np.linspace(0, SHAPE[0] - 1, 7), np.linspace(0, SHAPE[1] - 1, 7)
    u, v = ((axis - middle) / half for axis, middle, half in zip((columns + 1, rows + 1), zero, scale, strict=True))
    powers = [(i, j) for j in range(degree + 1) for i in range(degree + 1 - j)]
    terms = np.array([[a**i * b**j for i, j in powers] for b in v for a in u])
    images = drawn_grid(rows.tolist(), columns.tolist()).reshape(len(terms), -1)
    coefficients = np.linalg.lstsq(terms, images, rcond=None)[0].reshape(-1, SIDE, SIDE)
    column = fits.Column("PSF_MASK", f"{coefficients.size}E", dim=f"({SIDE},{SIDE},{len(powers)})",
                         array=coefficients[None].astype(np.float32))  # fmt: skip
    hdu = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    hdu.header.update({"POLNAXIS": 2, "POLGRP1": 1, "POLNAME1": names[0], "POLZERO1": zero[0], "POLSCAL1": scale[0]})
    hdu.header.update({"POLGRP2": 1, "POLNAME2": names[1], "POLZERO2": zero[1], "POLSCAL2": scale[1], "POLNGRP": 1})
    hdu.header.update({"POLDEG1": degree, "PSF_SAMP": 1.0 / SAMPLING, "PSFNAXIS": 3})
    hdu.header.update({"PSFAXIS1": SIDE, "PSFAXIS2": SIDE, "PSFAXIS3": len(powers)})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return coefficients


def write_spherex(path: Path, version: str, *, exchanged: bool = False, zones: int = 3) -> np.ndarray:
    """Write the PSF extension of a SPHEREx image with `zones`² zones; return the centres (y, x) of the planes, 0-based.

    Parameters
    ----------
    path : Path
    version : str
        Of the pipeline.
    exchanged : bool
        Whether the header has the places of rows and columns exchanged, as until version 6.5.5.
    zones : int
        Along each axis of an image of 120 × 120 pixels.
    """
    middles = 120 / zones * (np.arange(zones) + 0.5)
    centres = [(y, x) for y in middles for x in middles]
    header = fits.Header({"OVERSAMP": int(SAMPLING)})
    for k, (y, x) in enumerate(centres, 1):
        header[f"XCTR_{k}"], header[f"YCTR_{k}"] = (y + 1, x + 1) if exchanged else (x + 1, y + 1)
        header[f"XWID_{k}"] = header[f"YWID_{k}"] = 120 / zones
    cube = fits.ImageHDU(np.array([drawn_psf(y, x) for y, x in centres]), header, name="PSF")
    image = fits.ImageHDU(np.zeros((120, 120)), fits.Header({"VERSION": version}), name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), image, cube]).writeto(path, overwrite=True)
    return np.array(centres)
