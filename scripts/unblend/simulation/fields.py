"""Simulated fields with known true fluxes, drawn by GalSim from analytic profiles and PSFs.

They are independent of the rendering of models in this project, with which they share only the WCS functions of
`core.coordinates`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import coordinates
from ..core.types import Box
from ..core.units import UJY_ZERO_POINT_AB
from .galsim_profiles import galsim_measured_psf, galsim_psf, galsim_source, gsparams, local_wcs
from .population import SimulatedSource, draw_population
from .psf_components import PsfChange, PsfComponent, changed_psf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs import WCS

DEPTH_SIGMA = 5.0
"""Signal-to-noise ratio of a point source at the depth of a band."""
MIN_LIGHT_FRACTION = 1e-3
"""Sources with less than this fraction of their light on the image of a band are not drawn there."""


@dataclass(frozen=True)
class BandSpec:
    """Specification of a band: pixel grid, PSF, noise and astrometric error.

    Parameters
    ----------
    name : str
    wavelength_um : float
    pixel_arcsec : float
    shape : (ny, nx)
    psf : tuple of PsfComponent
        The optical PSF without the pixel response; the fractions add up to one.
    zero_point_ab : float
        AB magnitude of one image unit.
    depth_ab : float
        Magnitude of a point source at 5 sigma (matched filter), which determines the noise.
    rotation_deg : float
        Position angle of image +Y from north to east.
    flipped : bool
        Whether east is to the right.
    phase_pixels : (dy, dx)
        Offset of the field centre from the middle of the array.
    shift_arcsec : (x, y)
        Astrometric error that the user has to find: added to all positions along image X, Y.
    distortion_arcsec : float
        Size of another astrometric error that changes over the image, see `shift_at`.
    noise_sigma_pixels : float
        Sigma of the Gaussian kernel that correlates the noise, without changing its rms per pixel; 0 for white noise.
    noisy_columns : (first, last, factor) or None
        A range of columns with `factor` times the noise.
    background : float
        Background level in units of the pixel rms.
    psf_oversampling : int
        Pixels of the PSF image per image pixel.
    psf_shape : (ny, nx)
        Shape of the PSF image.
    psf_offset_pixels : (dy, dx)
        Offset of the centroid of the PSF image from the middle of its array, in its own pixels.
    measured_psf : array (ny, nx) or None
        An effective PSF to be used instead of `psf`, on the axes of the band's image, with the shape `psf_shape` and
        the sampling `psf_oversampling`.
    measured_centre : (y, x) or None
        Position of the source in `measured_psf`; None for the middle of the array.
    psf_change : PsfChange or None
        How `psf` changes over the image; None for the same PSF everywhere.
    """

    name: str
    wavelength_um: float
    pixel_arcsec: float
    shape: tuple[int, int]
    psf: tuple[PsfComponent, ...]
    zero_point_ab: float = UJY_ZERO_POINT_AB
    depth_ab: float = 26.0
    rotation_deg: float = 0.0
    flipped: bool = False
    phase_pixels: tuple[float, float] = (0.0, 0.0)
    shift_arcsec: tuple[float, float] = (0.0, 0.0)
    distortion_arcsec: float = 0.0
    noise_sigma_pixels: float = 0.0
    noisy_columns: tuple[int, int, float] | None = None
    background: float = 0.0
    psf_oversampling: int = 1
    psf_shape: tuple[int, int] = (101, 101)
    psf_offset_pixels: tuple[float, float] = (0.0, 0.0)
    measured_psf: np.ndarray | None = None
    measured_centre: tuple[float, float] | None = None
    psf_change: PsfChange | None = None

    def flux(self, mag_ab: float) -> float:
        """Return the flux in image units of an AB magnitude."""
        return float(10.0 ** (0.4 * (self.zero_point_ab - mag_ab)))

    def shift_at(self, y: float, x: float) -> tuple[float, float]:
        """Return the astrometric error (x, y) in arcsec at a pixel position, 0-based.

        The distortion is that of a plate: along X it changes with the square of x, along Y it is a shear.
        """
        v, u = 2.0 * y / (self.shape[0] - 1.0) - 1.0, 2.0 * x / (self.shape[1] - 1.0) - 1.0
        a = self.distortion_arcsec
        return self.shift_arcsec[0] + a * (2.0 * u**2 - 1.0), self.shift_arcsec[1] + a * u * v

    def psf_at(self, y: float, x: float) -> tuple[PsfComponent, ...]:
        """Return the components of the PSF at a pixel position, 0-based; outside the image, that of its edge."""
        if self.psf_change is None:
            return self.psf
        return changed_psf(self.psf, self.psf_change, y / (self.shape[0] - 1.0), x / (self.shape[1] - 1.0))


@dataclass(frozen=True)
class FieldSpec:
    """Specification of a field.

    Parameters
    ----------
    centre : (ra, dec)
        Degrees.
    bands : tuple of BandSpec
    reference : str
        Band of the number counts, of the order of sources and of their pixel positions.
    side_arcsec : float
        Side of the populated square.
    n_galaxies, n_stars : int
    faintest_ab : float
        Magnitude limit of the galaxies in the reference band.
    special : tuple of SimulatedSource
        Sources with given positions and properties.
    structured_to_ab : float or None
        Galaxies brighter than this in the reference band consist of bulge, disc, arms and knots; None for none.
    arms : bool
        Whether these have arms and knots, or bulge and disc alone.
    """

    centre: tuple[float, float]
    bands: tuple[BandSpec, ...]
    reference: str
    side_arcsec: float = 60.0
    n_galaxies: int = 120
    n_stars: int = 0
    faintest_ab: float = 26.0
    special: tuple[SimulatedSource, ...] = ()
    structured_to_ab: float | None = None
    arms: bool = True

    def band(self, name: str) -> BandSpec:
        """Return the band of that name."""
        return next(b for b in self.bands if b.name == name)


@dataclass(frozen=True)
class DrawnBand:
    """A drawn band.

    Parameters
    ----------
    spec : BandSpec
    wcs : WCS
    light, image, rms : arrays (ny, nx)
        Sources without noise and background, the image as observed, and the rms of each pixel.
    psf : array (ny, nx)
        Effective PSF of unit sum, including the pixel response.
    snr : array (n,)
        Signal-to-noise ratio of each source.
    """

    spec: BandSpec
    wcs: WCS
    light: np.ndarray
    image: np.ndarray
    rms: np.ndarray
    psf: np.ndarray
    snr: np.ndarray


@dataclass(frozen=True)
class Field:
    """A drawn field; `truth` is a structured array with one row per source, brightest first, with IDs 1 … N."""

    spec: FieldSpec
    sources: list[SimulatedSource]
    bands: dict[str, DrawnBand] = field(default_factory=dict)
    truth: np.ndarray = field(default_factory=lambda: np.zeros(0))


def band_wcs(spec: BandSpec, centre: tuple[float, float]) -> WCS:
    """Return the tangent-plane WCS of a band with its middle at `centre` (ra, dec), moved by the phase of the band."""
    from astropy.wcs import WCS

    angle, scale = np.deg2rad(spec.rotation_deg), spec.pixel_arcsec / coordinates.ARCSEC_PER_DEG
    parity = 1.0 if spec.flipped else -1.0
    up = np.array([np.sin(angle), np.cos(angle)])
    right = parity * np.array([np.cos(angle), -np.sin(angle)])
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = list(centre)
    wcs.wcs.crpix = [(spec.shape[1] + 1) / 2.0 + spec.phase_pixels[1], (spec.shape[0] + 1) / 2.0 + spec.phase_pixels[0]]
    # rounded, so that the header has the same digits on every machine
    wcs.wcs.cd = np.round(np.column_stack([right, up]) * scale, 14)
    wcs.wcs.radesys = "ICRS"
    wcs.pixel_shape = (spec.shape[1], spec.shape[0])
    wcs.wcs.set()
    return wcs


def draw_source(source: SimulatedSource, spec: BandSpec, wcs: WCS, psf: Any | None = None) -> tuple[Box, np.ndarray]:
    """Return the box and the stamp of a source of unit flux in a band, with pixel response and astrometric shift.

    The stamp contains 99.9 % of the light or is as large as the image, whichever is smaller, and may extend off the
    image.

    Parameters
    ----------
    source : SimulatedSource
    spec : BandSpec
    wcs : WCS
        WCS of the band.
    psf : GalSim profile, optional
        The optical PSF; by default it is made from `spec` for the place of the source.
    """
    import galsim

    ys, xs = coordinates.sky_to_pixel(wcs, np.array([source.ra]), np.array([source.dec]))
    shift = spec.shift_at(float(ys[0]), float(xs[0]))
    dy, dx = coordinates.shift_to_pixels(wcs, shift, float(ys[0]), float(xs[0]))
    y, x = float(ys[0]) + dy, float(xs[0]) + dx
    reach = min(_light_radius_arcsec(source) + _psf_radius_arcsec(spec), 1.0 * max(spec.shape) * spec.pixel_arcsec)
    box = Box.around(y, x, reach / spec.pixel_arcsec)
    native, measured = local_wcs(wcs, y, x), spec.measured_psf is not None
    if psf is None or measured:
        psf = galsim_measured_psf(spec, native) if measured else galsim_psf(spec.psf_at(y, x))
    profile = galsim.Convolve(galsim_source(source, spec.name), psf, gsparams=gsparams())
    stamp = galsim.Image(box.shape[1], box.shape[0], dtype=float)
    offset = galsim.PositionD(x - box.centre[1], y - box.centre[0])
    profile.drawImage(image=stamp, wcs=native, offset=offset, method="no_pixel" if measured else "auto")
    return box, stamp.array


def draw_psf(spec: BandSpec, wcs: WCS, place: tuple[float, float] | None = None) -> np.ndarray:
    """Return the effective PSF (with pixel response, unit sum) in the orientation of the band's image.

    Parameters
    ----------
    spec : BandSpec
    wcs : WCS
        WCS of the band.
    place : (y, x), optional
        Pixel position, 0-based; the middle of the image by default.
    """
    import galsim

    if spec.measured_psf is not None:
        return np.asarray(spec.measured_psf / np.sum(spec.measured_psf))
    middle = ((spec.shape[0] - 1) / 2.0, (spec.shape[1] - 1) / 2.0)
    place = middle if place is None else place
    native = local_wcs(wcs, *place)
    fine = galsim.JacobianWCS(*(native.getMatrix().ravel() / spec.psf_oversampling))
    pixel = native.toWorld(galsim.Pixel(1.0))
    effective = galsim.Convolve(galsim_psf(spec.psf_at(*place)), pixel, gsparams=gsparams())
    image = galsim.Image(spec.psf_shape[1], spec.psf_shape[0], dtype=float)
    offset = galsim.PositionD(spec.psf_offset_pixels[1], spec.psf_offset_pixels[0])
    effective.drawImage(image=image, wcs=fine, offset=offset, method="no_pixel")
    return image.array / image.array.sum()


def draw_correlated_noise(rng: np.random.Generator, shape: tuple[int, int], sigma_pixels: float) -> np.ndarray:
    """Return Gaussian noise of unit rms.

    Parameters
    ----------
    rng : Generator
    shape : (ny, nx)
    sigma_pixels : float
        Sigma of the Gaussian kernel that correlates the noise; 0 for white noise.
    """
    white = rng.standard_normal(shape)
    if sigma_pixels == 0:
        return white
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(white, sigma_pixels, mode="wrap") / _kernel_norm(sigma_pixels)


def flux_sigma(template: np.ndarray, rms: np.ndarray | float, sigma_pixels: float) -> float:
    """Return the error of the matched-filter flux of an isolated source.

    The flux is f = Σ T d / Σ T² with weights 1/rms². For correlated noise its variance is
    Σ (K T/rms)² / (Σ T²/rms²)², where K is the noise kernel of unit square sum; for white noise 1 / Σ T²/rms².

    Parameters
    ----------
    template : array (ny, nx)
        The source T with unit flux.
    rms : array (ny, nx) or float
        Noise of the pixels.
    sigma_pixels : float
        Sigma of the Gaussian kernel that correlates the noise; 0 for white noise.

    Returns
    -------
    float
        Infinite for a template without light.
    """
    scaled = template / rms
    fisher = float(np.sum(scaled**2))
    if fisher == 0:
        return float("inf")
    if sigma_pixels == 0:
        return fisher**-0.5
    from scipy.ndimage import gaussian_filter

    # padded by the size of the kernel, so that nothing is lost at the edge of the stamp
    padded = np.pad(scaled, int(np.ceil(4 * sigma_pixels)) + 1)
    smoothed = gaussian_filter(padded, sigma_pixels, mode="constant") / _kernel_norm(sigma_pixels)
    return float(np.sqrt(np.sum(smoothed**2))) / fisher


def band_rms(spec: BandSpec, psf: np.ndarray) -> float:
    """Return the rms per pixel for the depth of a band: 5 sigma for a point source centred on a pixel."""
    native = _bin_psf(psf, spec.psf_oversampling)
    return spec.flux(spec.depth_ab) / DEPTH_SIGMA / flux_sigma(native, 1.0, spec.noise_sigma_pixels)


def draw_band(
    spec: BandSpec, sources: Sequence[SimulatedSource], centre: tuple[float, float], rng: np.random.Generator
) -> DrawnBand:
    """Draw all sources of one band, then its noise and background.

    Parameters
    ----------
    spec : BandSpec
    sources : sequence of SimulatedSource
    centre : (ra, dec)
        Centre of the field in degrees.
    rng : Generator
        Random numbers for the noise.
    """
    wcs = band_wcs(spec, centre)
    psf = draw_psf(spec, wcs)
    rms = np.full(spec.shape, band_rms(spec, psf))
    level = spec.background * rms[0, 0]
    if spec.noisy_columns is not None:
        first, last, factor = spec.noisy_columns
        rms[:, first:last] *= factor
    optical = galsim_psf(spec.psf) if spec.psf_change is None else None
    light, whole = np.zeros(spec.shape), Box.of_shape(spec.shape)
    snr = np.zeros(len(sources))
    for i, source in enumerate(sources):
        if not _reaches_image(source, spec, wcs):
            continue
        box, stamp = draw_source(source, spec, wcs, optical)
        inside = box & whole
        template = stamp[inside.within(box)]
        if inside.is_empty or template.sum() < MIN_LIGHT_FRACTION:
            continue
        flux = spec.flux(source.mags[spec.name])
        light[inside.slices] += flux * template
        snr[i] = flux / flux_sigma(template, rms[inside.slices], spec.noise_sigma_pixels)
    image = light + level + rms * draw_correlated_noise(rng, spec.shape, spec.noise_sigma_pixels)
    return DrawnBand(spec, wcs, light, image, rms, psf, snr)


def draw_field(spec: FieldSpec, rng: np.random.Generator) -> Field:
    """Draw the population and all bands of a field. The noise of a band does not depend on the other bands."""
    streams = rng.spawn(1 + len(spec.bands))
    sources = draw_population(
        streams[0],
        {band.name: band.wavelength_um for band in spec.bands},
        reference=spec.reference,
        centre=spec.centre,
        side_arcsec=spec.side_arcsec,
        n_galaxies=spec.n_galaxies,
        n_stars=spec.n_stars,
        faintest=spec.faintest_ab,
        special=spec.special,
        structured_to_ab=spec.structured_to_ab,
        arms=spec.arms,
    )
    bands = {b.name: draw_band(b, sources, spec.centre, r) for b, r in zip(spec.bands, streams[1:], strict=True)}
    return Field(spec, sources, bands, truth_table(spec, sources, bands))


def truth_table(spec: FieldSpec, sources: Sequence[SimulatedSource], bands: dict[str, DrawnBand]) -> np.ndarray:
    """Return the table of true sources.

    Parameters
    ----------
    spec : FieldSpec
    sources : sequence of SimulatedSource
        Brightest first.
    bands : dict of str to DrawnBand

    Returns
    -------
    structured array (n,)
        Columns id, ra, dec, x, y (1-based, on the reference image), shape, kind, and flux, mag, snr of each band.
        `in_field` is True if the centre lies on the reference image, `edge_arcsec` is its distance from the edge
        (negative outside), `neighbour_arcsec` the distance to the nearest other source, and `snr_{band}` the
        matched-filter S/N of its light on the image if it were isolated, 0 off the image.
    """
    columns: list[tuple[str, Any]] = [("id", "i4"), ("ra", "f8"), ("dec", "f8"), ("x", "f8"), ("y", "f8")]
    columns += [("in_field", "?"), ("is_star", "?"), ("kind", "U8"), ("n", "f8"), ("r_e_arcsec", "f8"), ("q", "f8")]
    columns += [("pa", "f8"), ("neighbour_arcsec", "f8"), ("edge_arcsec", "f8")]
    columns += [(f"{name}_{b.name}", "f8") for b in spec.bands for name in ("flux", "mag", "snr")]
    table = np.zeros(len(sources), dtype=columns)
    table["id"] = np.arange(1, len(sources) + 1)
    names = {"is_star": "is_star", "kind": "kind", "n": "n", "r_e_arcsec": "r_e_arcsec", "q": "q", "pa": "pa_deg"}
    for column, attribute in {"ra": "ra", "dec": "dec", **names}.items():
        table[column] = [getattr(s, attribute) for s in sources]
    reference = spec.band(spec.reference)
    y, x = coordinates.sky_to_pixel(bands[spec.reference].wcs, table["ra"], table["dec"])
    table["x"], table["y"] = x + 1.0, y + 1.0
    ny, nx = reference.shape
    inside = np.minimum.reduce([y + 0.5, ny - 0.5 - y, x + 0.5, nx - 0.5 - x])
    table["in_field"], table["edge_arcsec"] = inside >= 0, inside * reference.pixel_arcsec
    table["neighbour_arcsec"] = _nearest_arcsec(table["ra"], table["dec"], spec.centre)
    for band in spec.bands:
        mags = np.array([s.mags[band.name] for s in sources])
        table[f"mag_{band.name}"] = mags
        table[f"flux_{band.name}"] = [band.flux(m) for m in mags]
        table[f"snr_{band.name}"] = bands[band.name].snr
    return table


def _light_radius_arcsec(source: SimulatedSource) -> float:
    """Return the radius that contains 99.9 % of a Sersic profile (inverse gamma function); its parts lie within."""
    if source.is_star:
        return 0.0
    from scipy.special import gammaincinv

    ratio = gammaincinv(2.0 * source.n, 0.999) / gammaincinv(2.0 * source.n, 0.5)
    return float(source.r_e_arcsec * ratio**source.n)


def _psf_radius_arcsec(spec: BandSpec) -> float:
    """Return half the side of the PSF image."""
    return max(spec.psf_shape) / 2.0 / spec.psf_oversampling * spec.pixel_arcsec


def _reaches_image(source: SimulatedSource, spec: BandSpec, wcs: WCS) -> bool:
    """Return whether a source is close enough to the image of a band to be drawn."""
    y, x = coordinates.sky_to_pixel(wcs, np.array([source.ra]), np.array([source.dec]))
    margin = (10.0 * source.r_e_arcsec + _psf_radius_arcsec(spec)) / spec.pixel_arcsec
    ny, nx = spec.shape
    return bool(-margin < y[0] < ny + margin and -margin < x[0] < nx + margin)


def _bin_psf(psf: np.ndarray, factor: int) -> np.ndarray:
    """Return an oversampled effective PSF sampled at the image pixels through its peak, normalised to unit sum."""
    if factor == 1:
        return psf
    row, column = np.unravel_index(np.argmax(psf), psf.shape)
    native = psf[row % factor :: factor, column % factor :: factor]
    return native / native.sum()


def _kernel_norm(sigma_pixels: float) -> float:
    """Return the root of the square sum of the Gaussian kernel of `scipy.ndimage.gaussian_filter`."""
    from scipy.ndimage import gaussian_filter

    side = 2 * int(np.ceil(4 * sigma_pixels)) + 3
    delta = np.zeros((side, side))
    delta[side // 2, side // 2] = 1.0
    return float(np.sqrt(np.sum(gaussian_filter(delta, sigma_pixels, mode="constant") ** 2)))


def _nearest_arcsec(ra: np.ndarray, dec: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Return the distance of each position to its nearest neighbour; infinite for a single one."""
    from scipy.spatial import cKDTree

    east, north = coordinates.offset_arcsec(ra, dec, *centre)
    distance, _ = cKDTree(np.column_stack([east, north])).query(np.column_stack([east, north]), k=2)
    return np.asarray(distance[:, 1])
