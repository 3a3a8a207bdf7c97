"""Inputs of whole runs as a careless astronomer has them: wrong files, wrong units, instruments' faults, odd places."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.io import fits
from harness import Field
from mutation_tools import IMAGE, PSF, Mutation, band, cards, content, edit, weight
from scipy.ndimage import gaussian_filter
from smallfield import BLURRED, RMS, SHARP, empty_place, to_band

DETECTED = f"{SHARP}.fits"
LOBE = 0.2
"""Share of a side lobe in the light of an asymmetric PSF."""


def several(*changes: Mutation) -> Mutation:
    """Return a mutation that makes several changes."""

    def apply(field: Field) -> None:
        for change in changes:
            change(field)

    return apply


def config(change: Callable[[dict[str, Any]], Any]) -> Mutation:
    """Return a mutation of the configuration."""
    return lambda field: field.edit_config(change)


def detection_bands(*bands: str) -> Mutation:
    """Return a mutation of the detection bands."""
    return config(lambda c: c["detection"].update(bands=list(bands), flux_band=SHARP))


def second_detection_band(**header: Any) -> Mutation:
    """Return a mutation that detects on a copy of the sharp image, too, with other noise and cards of its header."""

    def apply(field: Field) -> None:
        data, old = fits.getdata(field / DETECTED, header=True)
        noise = np.random.default_rng(7).normal(0.0, RMS[SHARP], data.shape)
        old.update({key: old[key] + step for key, step in header.items()})
        fits.writeto(field / "second.fits", (data + noise).astype(np.float32), old)
        section = {"image": "second.fits", "psf": f"{SHARP}-psf.fits", "zero_point": 25.0}
        field.edit_config(lambda c: c["bands"].update(second=section))
        detection_bands(SHARP, "second")(field)

    return apply


def asymmetric_psf(sign: int) -> Mutation:
    """Return a mutation after which the light has a side lobe on the right, the PSF one on the right (1) or left."""

    def with_lobe(data: np.ndarray, step: int) -> np.ndarray:
        return (1.0 - LOBE) * data + LOBE * np.roll(data, step, axis=1)

    light, psf = edit(IMAGE, lambda d: with_lobe(d, 4)), edit(PSF, lambda d: with_lobe(d, 4 * sign))
    return several(light, psf, band(psf_centre="given"))


def scaled_psf(factor: float) -> Mutation:
    """Return a mutation of the PSF as on pixels `factor` times as large."""

    def change(data: np.ndarray) -> np.ndarray:
        from scipy.ndimage import zoom

        wide = zoom(data, 1.0 / factor, order=3)
        half = min(wide.shape[0] // 2, 12)
        y, x = np.unravel_index(np.argmax(wide), wide.shape)
        return wide[y - half : y + half + 1, x - half : x + half + 1]

    return edit(PSF, change)


def whole_field(**header: float) -> Mutation:
    """Return a mutation that moves the field elsewhere on the sky: cards of both images, and the target."""

    def apply(field: Field) -> None:
        for name in (DETECTED, IMAGE):
            cards(name, **header)(field)
        target = {"ra": header["CRVAL1"], "dec": header["CRVAL2"]}
        field.edit_config(lambda c: c.update(target=target))
        (field / "mask_border.reg").unlink()

    return apply


def packed(name: str, quantised: bool) -> Mutation:
    """Return a mutation that compresses an image by tiles, or by gzip, and names the new file."""

    def apply(field: Field) -> None:
        path = field / IMAGE
        if quantised:
            data, header = fits.getdata(path, header=True)
            fits.CompImageHDU(data, header, compression_type="RICE_1", quantize_level=4).writeto(field / name)
        else:
            (field / name).write_bytes(gzip.compress(path.read_bytes()))
        if name != IMAGE:
            path.unlink()
        band(image=name)(field)

    return apply


def in_units(factor: float) -> Mutation:
    """Return a mutation of the unit of both images."""
    return several(*(edit(name, lambda d: factor * d) for name in (DETECTED, IMAGE)))


def own_segments(change: Callable[[np.ndarray], np.ndarray]) -> Mutation:
    """Return a mutation that gives the segments of the clean field as the user's own, changed."""

    def apply(field: Field) -> None:
        labels, header = fits.getdata(field / "results/det_seg.fits", header=True)
        fits.writeto(field / "own.fits", change(np.array(labels, dtype=np.int32)), header)
        field.edit_config(lambda c: c["detection"].update(segmentation="own.fits"))

    return apply


def own_list(rows: Callable[[np.ndarray], list[str]]) -> Mutation:
    """Return a mutation that gives the sources of the clean field as the user's own list."""

    def apply(field: Field) -> None:
        lines = ["id ra dec", *rows(field.table("det_cat.fits"))]
        (field / "own.csv").write_text("\n".join(lines).replace(" ", ",") + "\n")
        field.edit_config(lambda c: c["detection"].update(catalogue="own.csv"))

    return apply


def saturated_star(name: str, band_name: str, height: float) -> Mutation:
    """Return a mutation that adds a star with a flat top and a bleeding trail between the galaxies."""

    def change(data: np.ndarray) -> np.ndarray:
        y, x = to_band(*empty_place(), band_name)
        rows, columns = np.indices(data.shape)
        distance = np.hypot(rows - y, columns - x)
        data = data + 50.0 * height * np.exp(-0.5 * (distance / 2.0) ** 2) + height * (1.0 + distance / 2.0) ** -3
        data[(np.abs(columns - x) < 1.5) & (np.abs(rows - y) < 18)] = height
        return np.minimum(data, height)

    return edit(name, change)


def trail(name: str, level: float) -> Mutation:
    """Return a mutation that adds the trail of a satellite, three pixels wide, through the middle of the image."""

    def change(data: np.ndarray) -> np.ndarray:
        rows, columns = np.indices(data.shape)
        across = rows - data.shape[0] * 0.36 - 0.1 * (columns - data.shape[1] / 2)
        return data + level * (np.abs(across) < 1.5)

    return edit(name, change)


def exposure_as_weight(field: Field) -> None:
    """Give an exposure map as weight map; half of the image has a quarter of the exposure time."""
    data, header = fits.getdata(field / IMAGE, header=True)
    short = np.indices(data.shape)[1] > data.shape[1] / 2
    noise = np.random.default_rng(8).normal(0.0, np.sqrt(3.0) * RMS[BLURRED], data.shape)
    fits.writeto(field / IMAGE, np.where(short, data + noise, data).astype(np.float32), header, overwrite=True)
    fits.writeto(field / "exposure.fits", np.where(short, 250.0, 1000.0).astype(np.float32), header)
    band(weight="exposure.fits")(field)


def weight_of_integers(field: Field) -> None:
    """Give a right weight map that is stored as integers with BSCALE."""
    image, header = fits.getdata(field / IMAGE, header=True)
    hdu = fits.PrimaryHDU(np.full(image.shape, RMS[BLURRED] ** -2), header)
    hdu.scale("int16", bscale=0.1, bzero=0.0)
    hdu.writeto(field / "weight.fits")
    band(weight="weight.fits")(field)


def weight_beside_its_image(field: Field) -> None:
    """Give a weight map whose bad column is three pixels from that of the image."""
    edit(IMAGE, lambda d: np.where(np.indices(d.shape)[1] == 30, 20.0, d))(field)
    weight(lambda w: np.where(np.indices(w.shape)[1] == 33, 0.0, w))(field)


def wrapped_integers(field: Field) -> None:
    """Store the band as unsigned integers of 16 bits, and lose BZERO: what is above 32767 is negative."""
    data, header = fits.getdata(field / IMAGE, header=True)
    stored = np.clip(np.rint(data * 1000.0 + 31000.0), 0, 65535).astype(np.uint16).view(np.int16)
    hdu = fits.PrimaryHDU(stored, header)
    hdu.header["BSCALE"] = 1e-3
    raw = np.asarray(stored).astype(">i2").tobytes()
    (field / IMAGE).write_bytes(hdu.header.tostring().encode() + raw + bytes(-len(raw) % 2880))


def byte_swapped(field: Field) -> None:
    """Write the pixels of the band in the byte order of the computer."""
    data, header = fits.getdata(field / IMAGE, header=True)
    raw = np.asarray(data).astype("<f4").tobytes()
    (field / IMAGE).write_bytes(
        fits.PrimaryHDU(data, header).header.tostring().encode() + raw + bytes(-len(raw) % 2880)
    )


def corner(field: Field) -> None:
    """Keep a corner of the band."""
    with fits.open(field / IMAGE, mode="update") as file:
        file[0].data = file[0].data[40:, 50:].copy()
        file[0].header["CRPIX1"] -= 50
        file[0].header["CRPIX2"] -= 40


def same_file(field: Field) -> None:
    """Name the image of the sharp band in the section of the blurred one."""
    band(image=DETECTED)(field)


def same_content(field: Field) -> None:
    """Give the blurred band a copy of the sharp one's image and PSF."""
    shutil.copy(field / DETECTED, field / IMAGE)
    shutil.copy(field / f"{SHARP}-psf.fits", field / PSF)


def _half(value: float) -> Callable[[np.ndarray], None]:
    return lambda data: data.__setitem__((slice(None), slice(0, data.shape[1] // 2)), value)


def _third(value: float) -> Callable[[np.ndarray], None]:
    return lambda data: data.__setitem__((slice(None), slice(0, 36)), value)


def _dome(data: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(data.shape)
    distance2 = (rows - data.shape[0] / 2) ** 2 + (columns - data.shape[1] / 2) ** 2
    return data + 20.0 * RMS[SHARP] * np.exp(-0.5 * distance2 / 40.0**2)


def _stripes(level: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda data: data + np.random.default_rng(3).normal(0.0, level, (data.shape[0], 1))


def _resampled_noise(data: np.ndarray) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(6).normal(size=data.shape), 1.0)
    return data + 0.1 * noise / noise.std()


ELSEWHERE = b'fk5\ncircle(10.0,-30.0,2")\ncircle(10.001,-30.0,3")\n'
CARELESS: dict[str, Mutation] = {
    "image: no data are -999": edit(IMAGE, _third(-999.0)),
    "image: no data are 1e30": edit(IMAGE, _third(1e30)),
    "image: half is 0": edit(IMAGE, _half(0.0)),
    "image: sky subtracted twice": edit(IMAGE, lambda d: d - gaussian_filter(d, 8.0)),
    "image: uint16 without BZERO": wrapped_integers,
    "image: bytes swapped": byte_swapped,
    "image: a corner of the field": corner,
    "image: transposed": edit(IMAGE, lambda d: d.T),
    "image: correlated noise": edit(IMAGE, _resampled_noise),
    "image: a saturated star": saturated_star(IMAGE, BLURRED, 8.0),
    "image: trail of a satellite": trail(IMAGE, 2.0),
    "image: gzipped": packed("blurred.fits.gz", quantised=False),
    "image: gzipped without .gz": packed(IMAGE, quantised=False),
    "image: compressed by tiles, quantised": packed("blurred.fits.fz", quantised=True),
    "image: the same file as the other band": same_file,
    "image: a copy of the other band with its PSF": same_content,
    "both images: units of 1e20": in_units(1e-20),
    "header: CRPIX1 off by 20": cards(IMAGE, CRPIX1=lambda v: v + 20),
    # not about the centre: the galaxies lie on a grid, which would fit again
    "header: mirrored": cards(IMAGE, CDELT1=lambda v: -v, CRPIX1=lambda v: v + 9),
    "header: negative pixel scale": cards(IMAGE, CDELT2=lambda v: -v, CRPIX2=lambda v: v + 9),
    "header: CRVAL1 in hours": cards(IMAGE, CRVAL1=lambda v: v / 15.0),
    "header: rotated by 2 degrees": cards(IMAGE, CROTA2=2.0, PC1_1=None, PC2_2=None),
    "field: at RA 0": whole_field(CRVAL1=359.99995, CRVAL2=2.0),
    "field: at the pole": whole_field(CRVAL1=40.0, CRVAL2=90.0),
    "PSF: asymmetric": asymmetric_psf(1),
    "PSF: rotated by 180 degrees": asymmetric_psf(-1),
    "PSF: of pixels a third larger": scaled_psf(1.33),
    "PSF: a single pixel": edit(PSF, lambda d: np.where(d == d.max(), 1.0, 0.0)),
    "weight: exposure map": exposure_as_weight,
    "weight: beside its image": weight_beside_its_image,
    "weight: rms of 1": weight(lambda w: 1.0 + 0 * w, "rms"),
    "weight: integers with BSCALE": weight_of_integers,
    "weight: 1 where bad": weight(lambda w: np.where(np.indices(w.shape)[1] < 5, 1.0, 0.0)),
    "regions: of another field": content(f"{BLURRED}-bad.reg", lambda b: ELSEWHERE),
    "regions: merged, in pixels": content(
        "merged_segments.reg", lambda b: b"image\ncircle(34,34,3)\ncircle(47,34,3)\n"
    ),
    "config: tabs": content("config.yaml", lambda b: b.replace(b"  ", b"\t")),
    "config: rms in another unit": band(rms=1000.0 * RMS[BLURRED]),
    "config: PSF of the fits is the blurred one": config(lambda c: c["models"].update(psf=BLURRED)),
    "config: gain of 0.001": config(lambda c: c["models"].update(gain=1e-3)),
    "detection bands: half a pixel apart": second_detection_band(CRPIX1=0.5),
    "detection bands: a whole pixel apart": second_detection_band(CRPIX1=1.0),
    "detection bands: one twice": detection_bands(SHARP, SHARP),
    "detection image: a saturated star": saturated_star(DETECTED, SHARP, 4.0),
    "detection image: trail of a satellite": trail(DETECTED, 0.5),
    "detection image: a dome of 20 sigma": edit(DETECTED, _dome),
    "detection image: stripes": edit(DETECTED, _stripes(RMS[SHARP])),
    "image: stripes": edit(IMAGE, _stripes(RMS[BLURRED])),
    "segments: 1 in all sources": own_segments(lambda s: (s > 0).astype(np.int32)),
    "segments: shifted by 8 pixels": own_segments(lambda s: np.roll(s, 8, axis=1)),
    "segments: a hole in the image": several(
        own_segments(lambda s: s),
        edit(DETECTED, lambda d: np.where(np.arange(d.size).reshape(d.shape) == np.argmax(d), np.nan, d)),
    ),
    "source list: IDs twice": own_list(lambda t: [f"{r['id'] % 9 + 1} {r['ra']:.7f} {r['dec']:.7f}" for r in t]),
    "source list: pixels": own_list(lambda t: [f"{r['id']} {r['x']:.2f} {r['y']:.2f}" for r in t]),
    "source list: off by 0.5 arcsec": own_list(
        lambda t: [f"{r['id']} {r['ra'] + 0.5 / 3600.0:.7f} {r['dec']:.7f}" for r in t]
    ),
}
"""By name: what is done to the inputs of a field that has been run once."""

MOVED = ("field: at RA 0", "field: at the pole")
"""Mutations after which the sources have other positions."""
UNIT = {"both images: units of 1e20": 1e-20}
"""By name: the factor of the fluxes."""
NOISIER = {"image: correlated noise": 12.0, "weight: exposure map": 3.5}
"""By name: how much its own noise makes the errors grow."""
