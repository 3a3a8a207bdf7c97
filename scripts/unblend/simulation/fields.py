"""Simulated fields with a known truth, drawn by GalSim from analytic profiles and analytic PSFs.

Independent of the project's own rendering: it shares with it the WCS functions of `geometry` and nothing else. Light is
sky-oriented: GalSim's world axes are u = west, v = north, in arcsec on the tangent plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import coordinates
from ..core.nouns import Box
from ..core.units import UJY_ZERO_POINT_AB
from .population import SimulatedSource, draw_population

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs import WCS

SNR_PSF_SIGMA = 5.0
FOOTPRINT_KEEP = 1e-3
"""A source with less than this fraction of its light on a band's image is not drawn there."""


@dataclass(frozen=True)
class PsfComponent:
    """One part of a PSF: a Gaussian (beta None) or a Moffat profile, `fraction` of the light.

    `fwhm_arcsec` along the long axis; axis ratio `q` at position angle `pa_deg` (north to east); offset (east, north).
    """

    fraction: float
    fwhm_arcsec: float
    beta: float | None = None
    q: float = 1.0
    pa_deg: float = 0.0
    east_arcsec: float = 0.0
    north_arcsec: float = 0.0


@dataclass(frozen=True)
class BandSpec:
    """One band: its grid, PSF, noise and astrometric error.

    Parameters
    ----------
    name : str
    wavelength_um : float
    pixel_arcsec : float
    shape : (ny, nx)
    psf : tuple of PsfComponent
        The optical PSF, without the pixel; fractions add up to one.
    zero_point_ab : float
        AB magnitude of one image unit.
    depth_ab : float
        Magnitude of a point source at 5 sigma (matched filter): it fixes the noise.
    rotation_deg : float
        Turns the grid: the position angle of image +Y, from north to east.
    flipped : bool
        East to the right.
    phase_pixels : (dy, dx)
        Where the field centre falls, from the middle of the array.
    shift_arcsec : (x, y)
        Added to every position along image X, Y: the astrometric error that a user has to find.
    noise_sigma_pixels : float
        Gaussian kernel that correlates the noise; 0: white. The rms per pixel stays that of the depth.
    noisy_columns : (first, last, factor) or None
        A strip of columns with `factor` times the noise.
    background : float
        Constant level, in units of the pixel rms.
    psf_oversampling : int
        PSF pixels per image pixel of the PSF image.
    psf_shape : (ny, nx)
    psf_offset_pixels : (dy, dx)
        Offset of the PSF image's centroid from the middle of its array, in its own pixels.
    measured_psf : array (ny, nx) or None
        An effective PSF from a file, on the axes of the band's image, instead of `psf`; of `psf_shape`, sampled as
        `psf_oversampling` says.
    measured_centre : (y, x) or None
        Where in `measured_psf` the source lies; None: the middle of the array.
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
    noise_sigma_pixels: float = 0.0
    noisy_columns: tuple[int, int, float] | None = None
    background: float = 0.0
    psf_oversampling: int = 1
    psf_shape: tuple[int, int] = (101, 101)
    psf_offset_pixels: tuple[float, float] = (0.0, 0.0)
    measured_psf: np.ndarray | None = None
    measured_centre: tuple[float, float] | None = None

    def flux(self, mag_ab: float) -> float:
        """Return the flux in image units of an AB magnitude."""
        return float(10.0 ** (0.4 * (self.zero_point_ab - mag_ab)))


@dataclass(frozen=True)
class FieldSpec:
    """A field: where, which bands, how many sources; `reference` is the band of counts, order and pixel positions."""

    centre: tuple[float, float]
    bands: tuple[BandSpec, ...]
    reference: str
    side_arcsec: float = 60.0
    n_galaxies: int = 120
    n_stars: int = 0
    faintest_ab: float = 26.0
    special: tuple[SimulatedSource, ...] = ()

    def band(self, name: str) -> BandSpec:
        """Return the band of that name."""
        return next(b for b in self.bands if b.name == name)


@dataclass(frozen=True)
class DrawnBand:
    """A drawn band: `light` without noise and background, `image` as observed, `rms` of each pixel, all (ny, nx).

    `psf` is the effective PSF (unit sum, pixel included), `snr` the signal to noise of every source.
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
    """A drawn field; `truth` is a structured array, one row per source, brightest first, ids 1 … N."""

    spec: FieldSpec
    sources: list[SimulatedSource]
    bands: dict[str, DrawnBand] = field(default_factory=dict)
    truth: np.ndarray = field(default_factory=lambda: np.zeros(0))


def band_wcs(spec: BandSpec, centre: tuple[float, float]) -> WCS:
    """Return the tangent-plane WCS of a band whose middle lies at `centre` (ra, dec), moved by the band's phase."""
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
    # rounded: a header line keeps the same digits on every machine
    wcs.wcs.cd = np.round(np.column_stack([right, up]) * scale, 14)
    wcs.wcs.radesys = "ICRS"
    wcs.pixel_shape = (spec.shape[1], spec.shape[0])
    wcs.wcs.set()
    return wcs


def galsim_psf(components: Sequence[PsfComponent]) -> Any:
    """Return the optical PSF as a GalSim profile of unit flux."""
    import galsim

    parts = []
    for c in components:
        # a shear keeps the area: the round profile has the mean radius sqrt(a b)
        fwhm = c.fwhm_arcsec * np.sqrt(c.q)
        if c.beta is None:
            part = galsim.Gaussian(fwhm=fwhm, flux=c.fraction)
        else:
            part = galsim.Moffat(beta=c.beta, fwhm=fwhm, flux=c.fraction)
        parts.append(_turned(part, c.q, c.pa_deg).shift(-c.east_arcsec, c.north_arcsec))
    return galsim.Add(parts) if len(parts) > 1 else parts[0]


def galsim_measured_psf(spec: BandSpec, native: Any) -> Any:
    """Return the band's measured PSF, pixel response included, as a GalSim profile of unit flux.

    `native` is GalSim's local WCS of the band's image.
    """
    import galsim

    data = np.asarray(spec.measured_psf, dtype=float)
    fine = galsim.JacobianWCS(*(native.getMatrix().ravel() / spec.psf_oversampling))
    offset = galsim.PositionD(0.0, 0.0)
    if spec.measured_centre is not None:
        middle = [(side - 1) / 2.0 for side in data.shape]
        offset = galsim.PositionD(spec.measured_centre[1] - middle[1], spec.measured_centre[0] - middle[0])
    return galsim.InterpolatedImage(galsim.Image(data), wcs=fine, offset=offset, flux=1.0, gsparams=_gsparams())


def galsim_source(source: SimulatedSource) -> Any:
    """Return the un-convolved source as a GalSim profile of unit flux."""
    import galsim

    if source.is_star:
        return galsim.DeltaFunction()
    # sqrt(a b), as in the PSF
    radius = source.r_e_arcsec * np.sqrt(source.q)
    body = _turned(galsim.Sersic(source.n, half_light_radius=radius), source.q, source.pa_deg)
    if not source.clumps:
        return body
    knots = [
        galsim.Exponential(half_light_radius=c.r_e_arcsec, flux=c.fraction).shift(-c.east_arcsec, c.north_arcsec)
        for c in source.clumps
    ]
    return galsim.Add([body.withFlux(1.0 - sum(c.fraction for c in source.clumps)), *knots])


def draw_source(source: SimulatedSource, spec: BandSpec, wcs: WCS, psf: Any | None = None) -> tuple[Box, np.ndarray]:
    """Return the stamp of a source of unit total flux as the band sees it, pixel response and shift included.

    The stamp holds 99.9 % of the light or is as large as the image, whichever is smaller, and may reach off the image.
    """
    import galsim

    ys, xs = coordinates.sky_to_pixel(wcs, np.array([source.ra]), np.array([source.dec]))
    dy, dx = coordinates.shift_to_pixels(wcs, spec.shift_arcsec, float(ys[0]), float(xs[0]))
    y, x = float(ys[0]) + dy, float(xs[0]) + dx
    reach = min(_light_radius_arcsec(source) + _psf_radius_arcsec(spec), 1.0 * max(spec.shape) * spec.pixel_arcsec)
    box = Box.around(y, x, reach / spec.pixel_arcsec)
    native, measured = _local_wcs(wcs, y, x), spec.measured_psf is not None
    if psf is None or measured:
        psf = galsim_measured_psf(spec, native) if measured else galsim_psf(spec.psf)
    profile = galsim.Convolve(galsim_source(source), psf, gsparams=_gsparams())
    stamp = galsim.Image(box.shape[1], box.shape[0], dtype=float)
    offset = galsim.PositionD(x - (box.x0 + box.x1 - 1) / 2.0, y - (box.y0 + box.y1 - 1) / 2.0)
    profile.drawImage(image=stamp, wcs=native, offset=offset, method="no_pixel" if measured else "auto")
    return box, stamp.array


def draw_psf(spec: BandSpec, wcs: WCS) -> np.ndarray:
    """Return the effective PSF (pixel response included, unit sum) in the orientation of the band's image."""
    import galsim

    if spec.measured_psf is not None:
        return np.asarray(spec.measured_psf / np.sum(spec.measured_psf))
    middle = ((spec.shape[0] - 1) / 2.0, (spec.shape[1] - 1) / 2.0)
    native = _local_wcs(wcs, *middle)
    fine = galsim.JacobianWCS(*(native.getMatrix().ravel() / spec.psf_oversampling))
    pixel = native.toWorld(galsim.Pixel(1.0))
    effective = galsim.Convolve(galsim_psf(spec.psf), pixel, gsparams=_gsparams())
    image = galsim.Image(spec.psf_shape[1], spec.psf_shape[0], dtype=float)
    offset = galsim.PositionD(spec.psf_offset_pixels[1], spec.psf_offset_pixels[0])
    effective.drawImage(image=image, wcs=fine, offset=offset, method="no_pixel")
    return image.array / image.array.sum()


def correlated_noise(rng: np.random.Generator, shape: tuple[int, int], sigma_pixels: float) -> np.ndarray:
    """Return Gaussian noise of unit rms, white or smoothed by a Gaussian of `sigma_pixels`."""
    white = rng.standard_normal(shape)
    if sigma_pixels == 0:
        return white
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(white, sigma_pixels, mode="wrap") / _kernel_norm(sigma_pixels)


def flux_sigma(template: np.ndarray, rms: np.ndarray | float, sigma_pixels: float) -> float:
    """Return the error of the matched-filter flux of an isolated unit-flux `template` in noise of `rms`.

    f = Σ T d / Σ T² with weights 1/rms²; its variance honours the correlation of the noise:
    Σ (K T/rms)² / (Σ T²/rms²)², K the noise kernel of unit square sum (white noise: 1 / sqrt(Σ T²/rms²)).
    Infinite where the template holds no light.
    """
    scaled = template / rms
    fisher = float(np.sum(scaled**2))
    if fisher == 0:
        return float("inf")
    if sigma_pixels == 0:
        return fisher**-0.5
    from scipy.ndimage import gaussian_filter

    # padded by the reach of the kernel: nothing is lost at the stamp's edge
    padded = np.pad(scaled, int(np.ceil(4 * sigma_pixels)) + 1)
    smoothed = gaussian_filter(padded, sigma_pixels, mode="constant") / _kernel_norm(sigma_pixels)
    return float(np.sqrt(np.sum(smoothed**2))) / fisher


def band_rms(spec: BandSpec, psf: np.ndarray) -> float:
    """Return the rms per pixel that gives the band its depth: 5 sigma for a point source centred on a pixel."""
    native = _bin_psf(psf, spec.psf_oversampling)
    return spec.flux(spec.depth_ab) / SNR_PSF_SIGMA / flux_sigma(native, 1.0, spec.noise_sigma_pixels)


def draw_band(
    spec: BandSpec, sources: Sequence[SimulatedSource], centre: tuple[float, float], rng: np.random.Generator
) -> DrawnBand:
    """Draw every source into one band, then its noise and background."""
    wcs = band_wcs(spec, centre)
    psf = draw_psf(spec, wcs)
    rms = np.full(spec.shape, band_rms(spec, psf))
    level = spec.background * rms[0, 0]
    if spec.noisy_columns is not None:
        first, last, factor = spec.noisy_columns
        rms[:, first:last] *= factor
    optical, light, frame = galsim_psf(spec.psf), np.zeros(spec.shape), Box.of_shape(spec.shape)
    snr = np.zeros(len(sources))
    for i, source in enumerate(sources):
        if not _reaches_image(source, spec, wcs):
            continue
        box, stamp = draw_source(source, spec, wcs, optical)
        seen = box & frame
        template = stamp[seen.within(box)]
        if seen.is_empty or template.sum() < FOOTPRINT_KEEP:
            continue
        flux = spec.flux(source.mags[spec.name])
        light[seen.slices] += flux * template
        snr[i] = flux / flux_sigma(template, rms[seen.slices], spec.noise_sigma_pixels)
    image = light + level + rms * correlated_noise(rng, spec.shape, spec.noise_sigma_pixels)
    return DrawnBand(spec, wcs, light, image, rms, psf, snr)


def draw_field(spec: FieldSpec, rng: np.random.Generator) -> Field:
    """Draw the population and every band of a field. The noise of a band does not depend on the other bands."""
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
    )
    bands = {b.name: draw_band(b, sources, spec.centre, r) for b, r in zip(spec.bands, streams[1:], strict=True)}
    return Field(spec, sources, bands, truth_table(spec, sources, bands))


def truth_table(spec: FieldSpec, sources: Sequence[SimulatedSource], bands: dict[str, DrawnBand]) -> np.ndarray:
    """Return the truth: id, ra, dec, x, y (1-based, FITS, reference band), shape, kind, and per band flux, mag, snr.

    `in_field` tells whether the centre lies on the reference image, `edge_arcsec` how far from its edge (negative: off
    it); `neighbour_arcsec` is the distance to the nearest other source; `snr_{band}` the
    matched-filter S/N of its light on the image, were it alone; 0 off the image.
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


def _gsparams() -> Any:
    """Accuracy of the drawing: totals to 1e-5, pixels to 1e-3 of the peak (undersampled star) or far better."""
    import galsim

    return galsim.GSParams(folding_threshold=1e-3, maxk_threshold=1e-4, maximum_fft_size=16384)


def _turned(profile: Any, q: float, pa_deg: float) -> Any:
    """Squeeze a round profile to axis ratio q, its long axis at a position angle from north to east."""
    import galsim

    if q == 1.0:
        return profile
    # beta is counter-clockwise from u (west); east is −u, so north-to-east is counter-clockwise from v
    return profile.shear(q=q, beta=(pa_deg + 90.0) * galsim.degrees)


def _local_wcs(wcs: WCS, y: float, x: float) -> Any:
    """Return GalSim's linear map (x, y) → (west, north) at a pixel position."""
    import galsim

    (east_y, east_x), (north_y, north_x) = coordinates.sky_jacobian(wcs, y, x)
    return galsim.JacobianWCS(-east_x, -east_y, north_x, north_y)


def _light_radius_arcsec(source: SimulatedSource) -> float:
    """Radius that holds 99.9 % of a Sersic profile (the gamma function's inverse), clumps included."""
    if source.is_star:
        return 0.0
    from scipy.special import gammaincinv

    ratio = gammaincinv(2.0 * source.n, 0.999) / gammaincinv(2.0 * source.n, 0.5)
    return float(source.r_e_arcsec * ratio**source.n)


def _psf_radius_arcsec(spec: BandSpec) -> float:
    """Half the side of the PSF image."""
    return max(spec.psf_shape) / 2.0 / spec.psf_oversampling * spec.pixel_arcsec


def _reaches_image(source: SimulatedSource, spec: BandSpec, wcs: WCS) -> bool:
    """Whether a source is near enough to a band's image to be worth a drawing."""
    y, x = coordinates.sky_to_pixel(wcs, np.array([source.ra]), np.array([source.dec]))
    margin = (10.0 * source.r_e_arcsec + _psf_radius_arcsec(spec)) / spec.pixel_arcsec
    ny, nx = spec.shape
    return bool(-margin < y[0] < ny + margin and -margin < x[0] < nx + margin)


def _bin_psf(psf: np.ndarray, factor: int) -> np.ndarray:
    """Sample an oversampled effective PSF at the image's pixels through its peak, of unit sum again."""
    if factor == 1:
        return psf
    row, column = np.unravel_index(np.argmax(psf), psf.shape)
    native = psf[row % factor :: factor, column % factor :: factor]
    return native / native.sum()


def _kernel_norm(sigma_pixels: float) -> float:
    """Root of the square sum of the Gaussian kernel of `scipy.ndimage.gaussian_filter`."""
    from scipy.ndimage import gaussian_filter

    side = 2 * int(np.ceil(4 * sigma_pixels)) + 3
    delta = np.zeros((side, side))
    delta[side // 2, side // 2] = 1.0
    return float(np.sqrt(np.sum(gaussian_filter(delta, sigma_pixels, mode="constant") ** 2)))


def _nearest_arcsec(ra: np.ndarray, dec: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Distance of every position to its nearest neighbour; infinite for a single one."""
    from scipy.spatial import cKDTree

    east, north = coordinates.offset_arcsec(ra, dec, *centre)
    distance, _ = cKDTree(np.column_stack([east, north])).query(np.column_stack([east, north]), k=2)
    return np.asarray(distance[:, 1])
