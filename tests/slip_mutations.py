"""Inputs of whole runs after slips of ordinary users: swapped files, kinds of maps, frames, left-over cards, units."""

from __future__ import annotations

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from careless_mutations import DETECTED, LOBE, config, own_list, own_segments, several
from harness import Field
from mutation_tools import IMAGE, PSF, Mutation, band, cards, content, edit, weight
from scipy.ndimage import gaussian_filter
from smallfield import BLURRED, RMS, SHARP


def swapped(key: str) -> Mutation:
    """Return a mutation that exchanges a key of the sections of the two bands."""

    def change(content: dict) -> None:
        first, second = content["bands"][SHARP], content["bands"][BLURRED]
        first[key], second[key] = second[key], first[key]

    return config(change)


def in_frame(frame: str, longitude: str, latitude: str) -> Mutation:
    """Return a mutation that describes the band in another celestial frame, rightly."""

    def apply(field: Field) -> None:
        data, header = fits.getdata(field / IMAGE, header=True)
        wcs = WCS(header)
        x, y = header["CRPIX1"] - 1.0, header["CRPIX2"] - 1.0
        step = 1.0
        at = [
            SkyCoord(*wcs.wcs_pix2world(px, py, 0), unit="deg").transform_to(frame)
            for px, py in ((x, y), (x + step, y), (x, y + step))
        ]
        lon, lat = ([float(place.data.lon.deg) for place in at], [float(place.data.lat.deg) for place in at])
        cosine = np.cos(np.radians(lat[0]))
        new = fits.Header()
        new.update(CTYPE1=f"{longitude}-TAN", CTYPE2=f"{latitude}-TAN", CRVAL1=lon[0], CRVAL2=lat[0])
        new.update(CRPIX1=x + 1.0, CRPIX2=y + 1.0)
        for k in (1, 2):
            new[f"CD1_{k}"] = (lon[k] - lon[0]) * cosine
            new[f"CD2_{k}"] = lat[k] - lat[0]
        if frame.startswith("fk5"):
            new.update(RADESYS="FK5", EQUINOX=2000.0)
        fits.writeto(field / IMAGE, data, new, overwrite=True)

    return apply


def axes_swapped(field: Field) -> None:
    """Store the band with the declination along its rows, rightly."""
    data, header = fits.getdata(field / IMAGE, header=True)
    old = header.copy()
    for key in ("CRPIX", "CRVAL", "CDELT", "CTYPE"):
        header[f"{key}1"], header[f"{key}2"] = old[f"{key}2"], old[f"{key}1"]
    header.remove("LONPOLE", ignore_missing=True)
    header.remove("LATPOLE", ignore_missing=True)
    fits.writeto(field / IMAGE, np.ascontiguousarray(data.T), header, overwrite=True)


def sip_left_over(field: Field) -> None:
    """Leave the distortion of the exposures in the header of a resampled image."""
    with fits.open(field / IMAGE, mode="update") as file:
        header = file[0].header
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
        header.update(A_ORDER=2, B_ORDER=2, A_2_0=5e-4, A_0_2=0.0, A_1_1=0.0, B_2_0=0.0, B_0_2=-5e-4, B_1_1=0.0)


def gap_without_exposure(field: Field) -> None:
    """Give an exposure map as weight map that is 0 in a gap, where the image is 0 as well."""
    gap = np.abs(np.indices(fits.getdata(field / IMAGE).shape)[1] - 40) < 3
    edit(IMAGE, lambda d: np.where(gap, 0.0, d))(field)
    header = fits.getheader(field / IMAGE)
    fits.writeto(field / "exposure.fits", np.where(gap, 0.0, 1200.0).astype(np.float32), header)
    band(weight="exposure.fits")(field)


def errors_first(field: Field) -> None:
    """Store the band as a file of several extensions, the errors before the science image, and name none."""
    data, header = fits.getdata(field / IMAGE, header=True)
    errors = fits.ImageHDU(np.full(data.shape, RMS[BLURRED], np.float32), header, name="ERR")
    science = fits.ImageHDU(data, header, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), errors, science]).writeto(field / IMAGE, overwrite=True)


def blank_integers(field: Field) -> None:
    """Store the band as integers of which BLANK marks a third."""
    data, header = fits.getdata(field / IMAGE, header=True)
    stored = np.rint(data / 1e-3).astype(np.int32)
    stored[:, :36] = -(2**31)
    hdu = fits.PrimaryHDU(stored, header)
    hdu.header["BLANK"] = -(2**31)
    hdu.header["BSCALE"] = 1e-3
    raw = stored.astype(">i4").tobytes()
    (field / IMAGE).write_bytes(hdu.header.tostring().encode() + raw + bytes(-len(raw) % 2880))


def half_written(field: Field) -> None:
    """Leave the second half of the band's pixels as a program that was interrupted leaves them: zeros."""
    path = field / IMAGE
    old = path.read_bytes()
    kept = len(old) * 6 // 10
    path.write_bytes(old[:kept] + bytes(len(old) - kept))


def second_unit(field: Field) -> None:
    """Detect on a copy of the sharp image in another unit, too, without a weight map."""
    data, header = fits.getdata(field / DETECTED, header=True)
    noise = np.random.default_rng(7).normal(0.0, RMS[SHARP], data.shape)
    fits.writeto(field / "second.fits", (1000.0 * (data + noise)).astype(np.float32), header)
    section = {"image": "second.fits", "psf": f"{SHARP}-psf.fits", "zero_point": 32.5}
    field.edit_config(lambda c: (c["bands"].update(second=section), c["detection"].update(bands=[SHARP, "second"])))
    field.edit_config(lambda c: c["detection"].update(flux_band=SHARP))


def companion_in_psf(data: np.ndarray) -> np.ndarray:
    """Return a PSF whose stamp has a neighbour of a tenth of its light."""
    return data + 0.1 * np.roll(data, (5, -4), axis=(0, 1))


def mirrored_psf(field: Field) -> None:
    """Give the light a lobe at the upper right, and the PSF its mirror image."""

    def with_lobe(data: np.ndarray, dx: int) -> np.ndarray:
        return (1.0 - LOBE) * data + LOBE * np.roll(data, (4, dx), axis=(0, 1))

    several(edit(IMAGE, lambda d: with_lobe(d, 4)), edit(PSF, lambda d: with_lobe(d, -4)))(field)
    band(psf_centre="given")(field)


SLIPS: dict[str, Mutation] = {
    "config: images of two bands swapped": swapped("image"),
    "config: PSFs of two bands swapped": swapped("psf"),
    "config: psf_kind optical, not so": band(psf_kind="optical"),
    "config: conv_fwhm in pixels": config(lambda c: c["detection"].update(conv_fwhm=2.5)),
    "config: rms with a comma": band(rms="0,05"),
    "config: background box of 1 arcsec": band(background={"box": 1.0, "statistic": "median"}),
    "config: two spellings of one band": config(lambda c: c["bands"].update(Blurred=dict(c["bands"][BLURRED]))),
    "config: line ends of Windows": content("config.yaml", lambda b: b"\xef\xbb\xbf" + b.replace(b"\n", b"\r\n")),
    "weight: variance as rms": weight(lambda w: (1.0 / w) * np.linspace(0.5, 1.5, w.shape[1]), "rms"),
    "weight: rms as variance": weight(lambda w: w**-0.5, "variance"),
    "weight: right, as variance": weight(lambda w: 1.0 / w, "variance"),
    "weight: a gap without exposure": gap_without_exposure,
    "weight: infinite where good": weight(lambda w: np.where(np.indices(w.shape)[1] < 30, np.inf, w)),
    "header: galactic, right": in_frame("galactic", "GLON", "GLAT"),
    "header: FK5, right": in_frame("fk5", "RA--", "DEC-"),
    "header: FK4 said, not so": cards(IMAGE, RADESYS="FK4", EQUINOX=1950.0),
    "header: axes swapped, right": axes_swapped,
    "header: distortion of SIP left over": sip_left_over,
    "header: CD in arcsec": cards(IMAGE, CDELT1=lambda v: 3600.0 * v, CDELT2=lambda v: 3600.0 * v),
    "header: pixels 1 % smaller": cards(IMAGE, CDELT1=lambda v: 0.99 * v, CDELT2=lambda v: 0.99 * v),
    "image: the errors come first": errors_first,
    "image: integers with BLANK": blank_integers,
    "image: half written": half_written,
    "image: every second row is 0": edit(IMAGE, lambda d: d.__setitem__(slice(None, None, 2), 0.0)),
    "image: infinite pixels": edit(
        IMAGE, lambda d: d.__setitem__((slice(None, None, 7), slice(None, None, 5)), np.inf)
    ),
    "image: smoothed after its PSF was measured": edit(IMAGE, lambda d: gaussian_filter(d, 0.8)),
    "image: one row too high": edit(IMAGE, lambda d: np.roll(d, 1, axis=0)),
    "PSF: a neighbour in the stamp": edit(PSF, companion_in_psf),
    "PSF: mirrored": mirrored_psf,
    "PSF: a bowl around it": edit(PSF, lambda d: d - 2e-4),
    "PSF: 16-bit integers": edit(PSF, lambda d: np.rint(d / d.max() * 100.0)),
    "detection bands: two units": second_unit,
    "override: of a source that is not there": content("overrides/99.dat", lambda b: b"n 4\n"),
    "segments: twice as large pixels": own_segments(lambda s: s[::2, ::2]),
    "segments: IDs times 1000": own_segments(lambda s: s * 1000),
    "source list: RA in hours": own_list(lambda t: [f"{r['id']} {r['ra'] / 15.0:.7f} {r['dec']:.7f}" for r in t]),
    "source list: Dec before RA": own_list(lambda t: [f"{r['id']} {r['dec']:.7f} {r['ra']:.7f}" for r in t]),
    "source list: half of the sources": own_list(lambda t: [f"{r['id']} {r['ra']:.7f} {r['dec']:.7f}" for r in t[::2]]),
}
"""By name: what is done to the inputs of a field that has been run once."""
