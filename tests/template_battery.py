"""One battery for every kind of template: scenes, two independent truths, and the check.

`brute_force` sums the light of a Sersic profile point by point in real space, through the full world coordinates,
with a PSF of Gaussians integrated over the pixels by the error function: no grid, no Fourier transform, no local
Jacobian. `galsim_truth` draws the same setup with GalSim and a Moffat PSF. Run this file to print the table of
docs/accuracy-templates.md.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from unblend.core.types import Model, Psf, SersicShape
from unblend.images.psf import prepare_psf
from unblend.models.rendering import draw_sersic, sersic_model, stamp_half_size
from unblend.models.templates import TemplateEngine

SKY = (53.0873, -27.84)
SIGMA_PER_FWHM = 1.0 / 2.354820045
CORE, WING, WING_SIGMA = 0.8, 0.2, 2.0
"""Fractions of the two Gaussians of the analytic PSF; the wing's sigma in that of the core."""
MOFFAT_BETA = 3.0


@dataclass(frozen=True)
class Grid:
    """A band's pixels: scale in arcsec, rotation in degrees; `sip` is the quadratic distortion per pixel."""

    scale: float = 0.06
    rotation: float = 0.0
    flipped: bool = False
    shear: float = 0.0
    sip: float = 0.0
    side: int = 51
    phase: tuple[float, float] = (0.37, -0.21)
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Blur:
    """A PSF as an array: FWHM in band pixels, `offset` of its centre in PSF pixels, even sides on demand."""

    fwhm: float = 3.0
    oversampling: float = 1.0
    kind: str = "effective"
    even: bool = False
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Source:
    """A Sersic profile: r_e in arcsec along the major axis, pa in degrees east of north; r_e = 0 is a point.

    `pixel` (arcsec), `rotation` (degrees) and `offset` (model pixels, of the centre from a pixel's centre) are those
    of the model image; `even` gives it even sides.
    """

    n: float = 1.0
    r_e: float = 0.3
    q: float = 0.6
    pa: float = 30.0
    pixel: float = 0.012
    rotation: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    even: bool = False


@dataclass(frozen=True)
class Setup:
    """A source in a band."""

    grid: Grid = field(default_factory=Grid)
    blur: Blur = field(default_factory=Blur)
    source: Source = field(default_factory=Source)


@dataclass(frozen=True)
class Errors:
    """Largest pixel error over the peak; error of a flux fitted with the template; light missing on the image."""

    pixel: float
    flux: float
    light: float


def inclined_discs(places: Sequence[tuple[float, float]]) -> dict[int, Model]:
    """Return exponential discs of unit flux, numbered from 1, at offsets (east, north) in arcsec from `SKY`."""
    turn = np.array([[0.0, -0.06], [0.06, 0.0]])
    return {
        i: sersic_model(
            n=1.0, r_e=3.0, ell=0.3, pa=25.0 * i, flux=1.0, pixel_to_sky=turn, oversampling=3,
            sky=(SKY[0] + east / 3600.0 / np.cos(np.deg2rad(SKY[1])), SKY[1] + north / 3600.0),
        )
        for i, (east, north) in enumerate(places, start=1)
    }  # fmt: skip


def wcs_of(grid: Grid) -> Any:
    """Return the TAN (or TAN-SIP) world coordinates of a grid; SKY lies `phase` off the middle pixel's centre."""
    from astropy.wcs import WCS, Sip

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    cosine, sine = np.cos(np.deg2rad(grid.rotation)), np.sin(np.deg2rad(grid.rotation))
    parity = 1.0 if grid.flipped else -1.0
    turn = np.array([[cosine, -sine], [sine, cosine]])
    wcs.wcs.cd = turn @ np.diag([parity, 1.0]) @ np.array([[1.0, grid.shear], [0.0, 1.0]]) * grid.scale / 3600.0
    wcs.wcs.crval = SKY
    middle = (grid.side - 1) // 2 + 1.0
    wcs.wcs.crpix = [middle + grid.phase[1], middle + grid.phase[0]]
    if grid.sip:
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        # the reference pixel lies 500 pixels away, where a distortion of second order has become a local shear
        wcs.wcs.crpix = [middle + grid.phase[1] - 500.0, middle + grid.phase[0] - 300.0]
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], a[1, 1], b[0, 2], b[1, 1] = grid.sip, 0.5 * grid.sip, -grid.sip, 0.3 * grid.sip
        zero = np.zeros((3, 3))
        wcs.sip = Sip(a, b, zero, zero, wcs.wcs.crpix)
        ra, dec = wcs.all_pix2world(middle - 1 + grid.phase[1], middle - 1 + grid.phase[0], 0)
        wcs.wcs.crval = [2 * SKY[0] - float(ra), 2 * SKY[1] - float(dec)]
    wcs.wcs.set()
    return wcs


def _pixels_of(grid: Grid, east: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (y, x) in the band of offsets in arcsec from SKY, through the full world coordinates."""
    from astropy.wcs import WCS

    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crval, plane.wcs.crpix = ["RA---TAN", "DEC--TAN"], SKY, [1.0, 1.0]
    plane.wcs.cdelt = [1.0 / 3600.0, 1.0 / 3600.0]
    ra, dec = plane.wcs_pix2world(east, north, 0)
    x, y = wcs_of(grid).all_world2pix(ra, dec, 0, tolerance=1e-6)
    step_x, step_y = _axis_steps(grid)
    return y + grid.shift[1] / step_y, x + grid.shift[0] / step_x


def _axis_steps(grid: Grid) -> tuple[float, float]:
    """Great-circle length of one pixel along X and Y, arcsec, in the middle of the image."""
    from astropy.coordinates import SkyCoord

    middle = (grid.side - 1) / 2.0
    ra, dec = wcs_of(grid).all_pix2world([middle, middle + 1, middle], [middle, middle, middle + 1], 0)
    sky = SkyCoord(ra, dec, unit="deg")
    return float(sky[0].separation(sky[1]).arcsec), float(sky[0].separation(sky[2]).arcsec)


def _light_points(source: Source, spacing: float, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (east, north, light) of points that stand for the profile.

    Quadrature: Gauss-Legendre in z = (r/r_e)^(1/n), in which the light is smooth at the cusp; the trapezoidal rule in
    the angle, which converges exponentially once points are no farther apart than the PSF's sigma (`spacing`, arcsec).
    Light beyond `reach` (arcsec) never comes near the image and is left out.
    """
    from scipy.special import gamma, gammaincinv

    if source.r_e == 0:
        return np.zeros(1), np.zeros(1), np.ones(1)
    n, b = source.n, float(gammaincinv(2 * source.n, 0.5))
    z_end = float(gammaincinv(2 * n, 1 - 1e-9)) / b
    z_end = min(z_end, (reach / source.q / source.r_e) ** (1 / n))
    r_end = source.r_e * z_end**n
    nodes, weights = np.polynomial.legendre.leggauss(6)
    # edges at equal steps in z resolve the cusp, at equal steps in r the PSF
    steps = np.linspace(0, r_end, max(8, int(0.5 * r_end / spacing)) + 1)
    edges = np.unique(np.concatenate([np.linspace(0, min(1.0, z_end), 7), (steps / source.r_e) ** (1 / n)]))
    half, mid = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    z, dz = (mid + half * nodes).ravel(), (half * weights).ravel()
    light = dz * b ** (2 * n) / gamma(2 * n) * z ** (2 * n - 1) * np.exp(-b * z)
    radius = source.r_e * z**n
    angles = np.maximum(32, np.ceil(2 * np.pi * radius / spacing)).astype(int)
    first = np.cumsum(angles) - angles
    ring = np.repeat(np.arange(radius.size), angles)
    theta = 2 * np.pi * (np.arange(ring.size) - first[ring]) / angles[ring]
    shares = (light / angles)[ring]
    major, minor = radius[ring] * np.cos(theta), source.q * radius[ring] * np.sin(theta)
    pa = np.deg2rad(source.pa)
    east = major * np.sin(pa) + minor * np.cos(pa)
    north = major * np.cos(pa) - minor * np.sin(pa)
    near = np.hypot(east, north) < reach
    return east[near], north[near], shares[near]


def _gaussian_pixel(distance: np.ndarray, sigma: float) -> np.ndarray:
    """Integral of a unit Gaussian over a pixel of unit side whose centre is at `distance`."""
    from scipy.special import erf

    scale = np.sqrt(2.0) * sigma
    return 0.5 * (erf((distance + 0.5) / scale) - erf((distance - 0.5) / scale))


@functools.lru_cache(maxsize=2)  # for both kinds of models
def brute_force(setup: Setup) -> np.ndarray:
    """Return the setup's image, of unit total, by a sum over points of light; any map from sky to pixels."""
    grid, sigma = setup.grid, setup.blur.fwhm * SIGMA_PER_FWHM
    reach = grid.side * grid.scale * 0.75 + 6 * WING_SIGMA * sigma * grid.scale
    points = _light_points(setup.source, 0.9 * sigma * grid.scale * min(1.0, 1.0 - abs(grid.shear)), reach)
    y, x = _pixels_of(grid, points[0], points[1])
    rows = np.arange(grid.side)
    image = np.zeros((grid.side, grid.side))
    for fraction, width in ((CORE, sigma), (WING, WING_SIGMA * sigma)):
        for part in np.array_split(np.arange(y.size), max(1, y.size // 20000)):
            along_y = _gaussian_pixel(rows[:, None] - y[part], width) * (fraction * points[2][part])
            image += along_y @ _gaussian_pixel(rows[:, None] - x[part], width).T
    return image


@functools.lru_cache(maxsize=2)
def galsim_truth(setup: Setup) -> np.ndarray:
    """Return the setup's image with a Moffat PSF, drawn by GalSim with the map from sky to pixels taken locally."""
    import galsim

    grid, source = setup.grid, setup.source
    step = 0.05 * grid.scale
    east, north = np.array([0.0, step, -step, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, step, -step])
    y, x = _pixels_of(grid, east, north)
    to_pixels = np.array([[x[1] - x[2], x[3] - x[4]], [y[1] - y[2], y[3] - y[4]]]) / (2 * step)
    wcs = galsim.JacobianWCS(*np.linalg.inv(to_pixels).ravel())
    seen = wcs.toWorld(galsim.Moffat(beta=MOFFAT_BETA, fwhm=setup.blur.fwhm))
    if source.r_e > 0:
        parameters = galsim.GSParams(maximum_fft_size=30000, folding_threshold=1e-4, maxk_threshold=1e-4)
        circular = galsim.Sersic(source.n, half_light_radius=source.r_e * np.sqrt(source.q), gsparams=parameters)
        profile = circular.shear(q=source.q, beta=(90.0 - source.pa) * galsim.degrees)
        seen = galsim.Convolve(profile, seen, gsparams=parameters)
    image = galsim.Image(grid.side, grid.side, wcs=wcs)
    middle = (grid.side - 1) / 2.0
    seen.drawImage(image, offset=(x[0] - middle, y[0] - middle))
    return image.array.astype(float)


def psf_of(blur: Blur, *, moffat: bool = False, light: float = 25.0) -> Psf:
    """Return the PSF as the pipeline prepares it; half the array is `light` times the FWHM for a Moffat."""
    sigma, over = blur.fwhm * SIGMA_PER_FWHM, blur.oversampling
    half = int(np.ceil((light * blur.fwhm if moffat else 7 * WING_SIGMA * sigma + 1) * over / (2 if moffat else 1)))
    side = 2 * half + (0 if blur.even else 1)
    centre = tuple((side - 1) / 2.0 - (0.5 if blur.even else 0.0) + o for o in blur.offset)
    y, x = ((np.arange(side) - c) / over for c in centre)
    if moffat:
        data = _moffat_array(blur, side, centre)
    else:
        data = np.zeros((side, side))
        for fraction, width in ((CORE, sigma), (WING, WING_SIGMA * sigma)):
            one = [
                _gaussian_pixel(d, width) if blur.kind == "effective"
                else np.exp(-0.5 * (d / width) ** 2) / (width * np.sqrt(2 * np.pi))
                for d in (y, x)
            ]  # fmt: skip
            data += fraction * np.outer(*one)
    return prepare_psf(data, oversampling=over, kind=blur.kind)


def _moffat_array(blur: Blur, side: int, centre: tuple[float, ...]) -> np.ndarray:
    import galsim

    profile = galsim.Moffat(beta=MOFFAT_BETA, fwhm=blur.fwhm)
    if blur.kind == "effective":
        profile = galsim.Convolve(profile, galsim.Pixel(1.0))
    off = (centre[1] - (side - 1) / 2.0, centre[0] - (side - 1) / 2.0)
    image = profile.drawImage(
        nx=side,
        ny=side,
        scale=1 / blur.oversampling,
        method="no_pixel",
        offset=off,
    )
    return image.array.astype(float)


def model_of(source: Source, *, profile: bool = False) -> Model:
    """Return the source as an un-convolved image on the pixels that it asks for, on request with its profile."""
    turn = np.deg2rad(source.rotation)
    # columns (y, x): at zero rotation +y is north and +x is west
    to_sky = source.pixel * np.array([[np.sin(turn), -np.cos(turn)], [np.cos(turn), np.sin(turn)]])
    if source.r_e == 0:
        return Model(np.array([[5.0]]), (0.0, 0.0), SKY, to_sky, 5.0, pixel_integrated=False)
    r_e = source.r_e / source.pixel
    half = stamp_half_size(source.n, r_e, 1 - source.q, source.pa - source.rotation)
    odd = 0 if source.even else 1
    shape = 2 * half[0] + 2 + odd, 2 * half[1] + 2 + odd
    centre = half[0] + 1 + source.offset[0], half[1] + 1 + source.offset[1]
    data = draw_sersic(
        shape,
        centre,
        n=source.n,
        r_e=r_e,
        ell=1 - source.q,
        pa=source.pa - source.rotation,
    )
    shape_of = SersicShape(source.n, r_e, 1 - source.q, source.pa - source.rotation) if profile else None
    return Model(3.0 * data, centre, SKY, to_sky, 3.0, shape=shape_of)


def template_image(setup: Setup, psf: Psf, model: Model | None = None) -> np.ndarray:
    """Return the template of the setup's source on the whole image of its band."""
    shape = (setup.grid.side, setup.grid.side)
    engine = TemplateEngine(wcs_of(setup.grid), shape, psf, setup.grid.shift)
    template = engine.template(1, model if model is not None else model_of(setup.source))
    image = np.zeros(shape)
    image[template.box.slices] = template.data
    return image


def measure(setup: Setup, *, moffat: bool = False, model: Model | None = None) -> Errors:
    """Return the errors of the setup's template against brute force, or against GalSim for a Moffat PSF."""
    truth = galsim_truth(setup) if moffat else brute_force(setup)
    template = template_image(setup, psf_of(setup.blur, moffat=moffat), model)
    difference = template - truth
    fitted = float(np.sum(template * truth) / np.sum(template**2))
    return Errors(float(np.abs(difference).max() / truth.max()), fitted - 1.0, float(difference.sum()))


def check_template(
    setup: Setup, *, moffat: bool = False, model: Model | None = None, pixel: float = 1e-3, flux: float = 1e-3
) -> None:
    """Assert that the setup's template is right to `pixel` of its peak and `flux` of its total.

    Without a given model that of its pixels and that of its Sersic profile are checked.
    """
    models = [model] if model else [model_of(setup.source, profile=profile) for profile in (False, True)]
    for one in models if setup.source.r_e > 0 else models[:1]:
        errors = measure(setup, moffat=moffat, model=one)
        assert errors.pixel < pixel, f"{setup}, {one.shape}: pixels off by {errors.pixel:.1e} of the peak"
        assert abs(errors.flux) < flux, f"{setup}, {one.shape}: flux off by {errors.flux:+.1e}"


BANDS = {
    '0.03", FWHM 0.09"': (Grid(scale=0.03, side=61), Blur(3.0)),
    '0.06", FWHM 0.18"': (Grid(scale=0.06, side=51), Blur(3.0)),
    '0.15", FWHM 0.50"': (Grid(scale=0.15, side=41), Blur(0.5 / 0.15)),
    '0.60", FWHM 1.70"': (Grid(scale=0.6, side=31), Blur(1.7 / 0.6)),
    '1.20", FWHM 3.00"': (Grid(scale=1.2, side=25), Blur(2.5)),
}
"""Bands of the table: pixel and FWHM, both well sampled (2.5 pixels or more)."""
INDICES = (0.5, 1.0, 2.5, 4.0, 6.0)
SHAPES = ((0.05, 0.6), (0.2, 0.2), (0.3, 1.0), (1.0, 0.5))
PHASES = ((0.37, -0.21), (0.5, 0.5))


def worst(grid: Grid, blur: Blur, n: float, *, moffat: bool, profile: bool) -> Errors:
    """Return the worst errors over shapes and phases, of models with their profile or of their pixels alone."""
    errors = []
    for r_e, q in SHAPES[:2] if moffat else SHAPES:
        source = own_pixels(grid, Source(n=n, r_e=r_e, q=q))
        model = model_of(source, profile=profile)
        errors += [measure(Setup(replace(grid, phase=p), blur, source), moffat=moffat, model=model) for p in PHASES]
    return Errors(*(max((getattr(e, name) for e in errors), key=abs) for name in ("pixel", "flux", "light")))


def own_pixels(grid: Grid, source: Source) -> Source:
    """Return the source with model pixels of 0.012 arcsec, or a fifth of the band's where those are smaller."""
    return replace(source, pixel=min(0.012, grid.scale / 5.0))


def main() -> None:
    """Print the tables of docs/accuracy-templates.md."""
    say = sys.stdout.write
    titles = {False: "Brute force, PSF of two Gaussians", True: "GalSim, Moffat PSF"}
    for moffat, profile in itertools.product((False, True), (True, False)):
        title = f"{titles[moffat]}, {'Sersic profiles' if profile else 'pixels of models'}"
        indices = [n for n in INDICES if n <= 4 or not moffat]
        say(f"\n### {title}\n\n| pixel, FWHM | " + " | ".join(f"n = {n}" for n in indices) + " |\n")
        say("|---" * (len(indices) + 1) + "|\n")
        for name, (grid, blur) in BANDS.items():
            say(f"| {name} |")
            for n in indices:
                found = worst(grid, blur, n, moffat=moffat, profile=profile)
                say(f" {found.pixel:.0e}, {found.flux:+.0e}, {found.light:+.0e} |")
                sys.stdout.flush()
            say("\n")


if __name__ == "__main__":
    main()
