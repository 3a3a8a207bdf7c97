"""The example field: six bands of one square arcminute with realistic properties, and the region files of a user.

f814w, f125w and f160w share one Hubble-like grid; ks, irac-ch1 and irac-ch2 have their own and astrometric errors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..core import coordinates
from .fields import BandSpec, Field, FieldSpec, PsfComponent, band_rms, draw_field
from .population import Part, SimulatedSource, galaxy_magnitudes, sky_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs import WCS

CENTRE = (53.0873, -27.84)
"""RA and Dec of the centre in degrees."""
REFERENCE = "f160w"
"""Band of the number counts, of the order of sources and of their pixel positions."""
DENSITY_ARCMIN2 = 105.0
"""Number of galaxies per square arcminute down to the magnitude limit."""
FAINTEST_AB = 26.0
"""Magnitude limit of the galaxies in the reference band."""
SIDE_ARCSEC = 90.0
"""Side of the populated square, which contains the corners of the largest image (77", rotated by 8 degrees)."""
N_STARS = 4
"""Number of stars."""
TRAIL_ARCSEC = ((-44.0, -8.0), (4.0, -45.0))
"""Ends of the satellite trail in ks, (east, north) of the centre."""
NAN_BLOCK_ARCSEC = (21.0, 17.0)
"""Position of the block of pixels without data in ks, (east, north) of the centre."""


def hubble_psf(core_fwhm_arcsec: float, wavelength_um: float, roll_deg: float = 20.0) -> tuple[PsfComponent, ...]:
    """Return a Hubble-like PSF: a core, the light of the diffraction rings, and four diffraction spikes.

    Parameters
    ----------
    core_fwhm_arcsec : float
    wavelength_um : float
        Rings and spikes scale with the wavelength.
    roll_deg : float
        Roll angle of the telescope, which rotates the spikes.
    """
    scale = wavelength_um / 1.54
    return (
        PsfComponent(0.86, core_fwhm_arcsec, beta=4.0),
        PsfComponent(0.10, 0.45 * scale, beta=3.5),
        PsfComponent(0.02, 1.8 * scale, q=0.07, pa_deg=45.0 + roll_deg),
        PsfComponent(0.02, 1.8 * scale, q=0.07, pa_deg=135.0 + roll_deg),
    )


def irac_psf(core_fwhm_arcsec: float, roll_deg: float) -> tuple[PsfComponent, ...]:
    """Return an IRAC-like PSF with its centroid at the origin: a core, three lobes and a halo."""
    lobes = [np.deg2rad(roll_deg + 120.0 * k) for k in range(3)]
    return (
        PsfComponent(0.74, core_fwhm_arcsec, beta=3.0),
        *(
            PsfComponent(0.06, 1.3, east_arcsec=2.3 * float(np.sin(a)), north_arcsec=2.3 * float(np.cos(a)))
            for a in lobes
        ),
        PsfComponent(0.08, 4.0, beta=3.5),
    )


def band_specs() -> tuple[BandSpec, ...]:
    """Return the six bands, with the depths of deep public surveys."""
    return (
        BandSpec("f814w", 0.81, 0.06, (1000, 1000), hubble_psf(0.097, 0.81), zero_point_ab=25.94, depth_ab=27.6,
                 psf_oversampling=3, psf_shape=(241, 241)),
        BandSpec("f125w", 1.25, 0.06, (1000, 1000), hubble_psf(0.151, 1.25), zero_point_ab=26.23, depth_ab=27.3),
        BandSpec("f160w", 1.54, 0.06, (1000, 1000), hubble_psf(0.173, 1.54), zero_point_ab=25.94, depth_ab=27.2),
        BandSpec("ks", 2.15, 0.15, (468, 464), (PsfComponent(0.92, 0.485, beta=4.0), PsfComponent(0.08, 1.2, beta=3.5)),
                 zero_point_ab=23.9, depth_ab=25.6, rotation_deg=7.3, phase_pixels=(0.27, -0.41),
                 shift_arcsec=(0.09, -0.06), noisy_columns=(0, 70, 1.6), background=1.5, psf_shape=(64, 64),
                 psf_offset_pixels=(0.3, -0.2)),
        BandSpec("irac-ch1", 3.6, 0.6, (128, 128), irac_psf(1.60, 10.0), zero_point_ab=21.58, depth_ab=25.2,
                 phase_pixels=(-0.32, 0.18), shift_arcsec=(-0.20, 0.12), noise_sigma_pixels=0.6, psf_shape=(41, 41)),
        BandSpec("irac-ch2", 4.5, 0.6, (128, 130), irac_psf(1.60, 182.0), zero_point_ab=21.58, depth_ab=25.0,
                 rotation_deg=172.0, phase_pixels=(0.45, -0.07), shift_arcsec=(0.15, 0.10), noise_sigma_pixels=0.6,
                 psf_shape=(41, 41)),
    )  # fmt: skip


def special_sources(bands: Sequence[BandSpec]) -> tuple[SimulatedSource, ...]:
    """Return the special sources: target and neighbours, clumpy spiral, merging pair, a galaxy undetected by Hubble."""
    waves = np.array([b.wavelength_um for b in bands])

    def mags(mag: float, z: float, age: float, dust_av: float) -> dict[str, float]:
        """Return the magnitudes of a galaxy in all bands; `mag` is that at 1.54 um."""
        values = galaxy_magnitudes(waves, mag, reference_um=1.54, z=z, age=age, dust_av=dust_av)
        return dict(zip([b.name for b in bands], map(float, values), strict=True))

    def source(east: float, north: float, **shape: object) -> SimulatedSource:
        """Return a source at an offset in arcsec from the centre."""
        ra, dec = (CENTRE) if east == north == 0 else sky_at(CENTRE, east, north)
        return SimulatedSource(ra, dec, **shape)  # type: ignore[arg-type]

    knots = [(0.75, 0.25), (-0.35, 0.65), (-0.7, -0.3), (0.3, -0.72)]
    parts = tuple(Part(e, n, 0.10, f) for (e, n), f in zip(knots, (0.06, 0.05, 0.045, 0.04), strict=True))
    # magnitude 28.9 at 1.54 um and 22.5 at 3.6 um, as dusty galaxies at z = 3 to 5 that only Spitzer detects
    red = {"f814w": 32.5, "f125w": 30.0, "f160w": 28.9, "ks": 25.6, "irac-ch1": 22.5, "irac-ch2": 22.1}
    return (
        source(0.0, 0.0, mags=mags(22.6, 2.1, 0.6, 0.9), n=1.4, r_e_arcsec=0.32, q=0.62, pa_deg=35.0, kind="target"),
        source(1.35, 0.75, mags=mags(22.3, 0.9, 0.8, 0.1), n=3.2, r_e_arcsec=0.30, q=0.85, pa_deg=110.0),
        source(-1.1, -1.6, mags=mags(23.6, 1.4, 0.1, 0.4), n=1.0, r_e_arcsec=0.28, q=0.45, pa_deg=160.0),
        source(-14.0, 12.5, mags=mags(20.4, 0.5, 0.25, 0.5), n=1.0, r_e_arcsec=1.05, q=0.85, pa_deg=70.0,
               kind="clumpy", parts=parts),
        source(12.0, -9.0, mags=red, n=1.0, r_e_arcsec=0.25, q=0.8, pa_deg=20.0, kind="red"),
        source(-9.5, -14.0, mags=mags(22.3, 0.7, 0.5, 0.2), n=2.2, r_e_arcsec=0.28, q=0.8, pa_deg=15.0),
        source(-8.95, -13.55, mags=mags(22.8, 0.7, 0.2, 0.4), n=1.0, r_e_arcsec=0.24, q=0.6, pa_deg=130.0),
        source(13.3, -7.8, mags=mags(22.9, 1.1, 0.2, 0.3), n=1.2, r_e_arcsec=0.35, q=0.7, pa_deg=95.0),
    )  # fmt: skip


def example_spec() -> FieldSpec:
    """Return the specification of the field, with `DENSITY_ARCMIN2` galaxies brighter than `FAINTEST_AB`."""
    bands = band_specs()
    galaxies = round(DENSITY_ARCMIN2 * (SIDE_ARCSEC / 60.0) ** 2)
    return FieldSpec(
        CENTRE, bands, REFERENCE, SIDE_ARCSEC, galaxies, N_STARS, FAINTEST_AB, special_sources(bands)
    )  # fmt: skip


def file_names() -> list[str]:
    """Return the names of the images, PSFs and weight maps of the field."""
    bands = example_spec().bands
    names = [f"{band.name}{ending}.fits" for band in bands for ending in ("", "-psf")]
    names += [f"{band.name}-weight.fits" for band in bands if band.noisy_columns is not None]
    return [*names, "det_stack-psf.fits"]


def draw_example(rng: np.random.Generator, spec: FieldSpec | None = None) -> Field:
    """Draw the example field with the defects of ks: a satellite trail, a cosmic ray, and pixels without data."""
    drawn, defects = rng.spawn(2)
    field = draw_field(spec or example_spec(), drawn)
    if "ks" in field.bands:
        band = field.bands["ks"]
        field.bands["ks"] = replace(band, image=with_defects(band.image, band.wcs, float(np.median(band.rms)), defects))
    return field


def with_defects(image: np.ndarray, wcs: WCS, rms: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image with a satellite trail of 12 rms, a cosmic ray of 80 rms, a NaN block and 40 single NaN pixels.

    Parameters
    ----------
    image : array (ny, nx)
    wcs : WCS
    rms : float
        Noise of a pixel.
    rng : Generator
        Random numbers for the positions of the single pixels.
    """
    image = image.copy()
    (y0, x0), (y1, x1) = (_pixel(wcs, *end) for end in TRAIL_ARCSEC)
    rows, columns = np.indices(image.shape)
    length = np.hypot(y1 - y0, x1 - x0)
    across = ((rows - y0) * (x1 - x0) - (columns - x0) * (y1 - y0)) / length
    along = ((rows - y0) * (y1 - y0) + (columns - x0) * (x1 - x0)) / length
    image += 12.0 * rms * np.exp(-0.5 * (across / 1.3) ** 2) * ((along > 0) & (along < length))
    y, x = (round(v) for v in _pixel(wcs, -22.0, -14.0))
    for k in range(7):
        image[y + k, x + k // 2] += 80.0 * rms
    y, x = (round(v) for v in _pixel(wcs, *NAN_BLOCK_ARCSEC))
    image[y : y + 6, x : x + 4] = np.nan
    image[tuple(rng.integers(0, size, 40) for size in image.shape)] = np.nan
    return image


def stack_psf(field: Field, names: Sequence[str] = ("f125w", "f160w")) -> np.ndarray:
    """Return the PSF Σ w P / Σ w of the inverse-variance stack of these bands, for a source of equal counts in each."""
    specs = [field.spec.band(name) for name in names]
    weights = [band_rms(spec, field.bands[spec.name].psf) ** -2 for spec in specs]
    total = sum(w * field.bands[s.name].psf for w, s in zip(weights, specs, strict=True)) / sum(weights)
    return np.asarray(total)


def region_files(field: Field) -> dict[str, str]:
    """Return the region files that a user would draw for this field, by name, in DS9 format."""
    truth = field.truth
    clumpy, red = truth[truth["kind"] == "clumpy"][0], truth[truth["kind"] == "red"][0]
    files = {
        "merged_segments.reg": ["# the knots of one spiral galaxy", _circle(clumpy["ra"], clumpy["dec"], 1.1)],
        "det_manual.reg": [
            "# bright in IRAC, not seen by Hubble",
            _circle(red["ra"], red["dec"], 0.4) + " # text={red}",
        ],
        "mask_border.reg": ["# sources beyond the Hubble images", *_border_circles(truth)],
        "ks-bad.reg": ["# satellite trail, cosmic ray", _trail(), _circle(*sky_at(CENTRE, -22.0, -13.5), 1.0)],
    }
    if "irac-ch1" in field.bands:
        files["irac-ch1-sim.reg"] = ["# empty places, wider than the PSF", *_empty_circles(field, "irac-ch1")]
    head = ["# Region file format: DS9 version 4.1", "global color=green", "fk5"]
    return {name: "\n".join([*head, *lines]) + "\n" for name, lines in files.items()}


def _border_circles(truth: np.ndarray) -> list[str]:
    """Return circles on IRAC sources beyond the detection image, which are larger for brighter sources."""
    rows = truth[~truth["in_field"] & (np.maximum(truth["snr_irac-ch1"], truth["snr_irac-ch2"]) > 4.0)]
    radii = np.clip(1.8 + 0.5 * (24.5 - rows["mag_irac-ch1"]), 1.8, 4.5)
    return [_circle(row["ra"], row["dec"], radius) for row, radius in zip(rows, radii, strict=True)]


def _empty_circles(field: Field, name: str, *, number: int = 20, radius_arcsec: float = 2.4) -> list[str]:
    """Return circles without overlap at the `number` faintest positions of a band inside the detection image."""
    from scipy.ndimage import convolve

    band, reference = field.bands[name], field.bands[REFERENCE]
    radius = radius_arcsec / band.spec.pixel_arcsec
    half = int(np.ceil(radius))
    disc = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) <= radius
    light = convolve(band.light, disc.astype(float), mode="constant", cval=np.inf)
    rows, columns = np.unravel_index(np.argsort(light, axis=None, kind="stable"), light.shape)
    ra, dec = coordinates.pixel_to_sky(band.wcs, rows, columns)
    y, x = coordinates.sky_to_pixel(reference.wcs, ra, dec)
    ny, nx = reference.spec.shape
    inside = (y > 0) & (y < ny) & (x > 0) & (x < nx)
    taken: list[int] = []
    for i in np.flatnonzero(inside):
        if all(np.hypot(rows[i] - rows[j], columns[i] - columns[j]) >= 2.0 * radius for j in taken):
            taken.append(int(i))
        if len(taken) == number:
            break
    return [_circle(ra[i], dec[i], radius_arcsec) for i in taken]


def _trail() -> str:
    """Return a polygon with a width of 1.4" around the satellite trail."""
    (e0, n0), (e1, n1) = TRAIL_ARCSEC
    length = np.hypot(e1 - e0, n1 - n0)
    e, n = 0.7 * (e1 - e0) / length, 0.7 * (n1 - n0) / length
    corners = [(e0 - e - n, n0 - n + e), (e0 - e + n, n0 - n - e), (e1 + e + n, n1 + n - e), (e1 + e - n, n1 + n + e)]
    values = [f"{value:.7f}" for corner in corners for value in sky_at(CENTRE, *corner)]
    return f"polygon({','.join(values)})"


def _circle(ra: float, dec: float, radius_arcsec: float) -> str:
    return f'circle({ra:.7f},{dec:.7f},{radius_arcsec:.2f}")'


def _pixel(wcs: WCS, east_arcsec: float, north_arcsec: float) -> tuple[float, float]:
    """Return the pixel position (y, x) of an offset from the centre of the field."""
    ra, dec = sky_at(CENTRE, east_arcsec, north_arcsec)
    y, x = coordinates.sky_to_pixel(wcs, np.array([ra]), np.array([dec]))
    return float(y[0]), float(x[0])
