"""An effective PSF from the stars of an image: a Moffat profile fitted to all of them, and a free correction of it.

The PSF is P = M + D: M is an elliptical Moffat profile, D a correction on a grid finer than the pixels. Both are fitted
to the pixels of all stars at their own sub-pixel positions (Anderson & King 2000, PASP 112, 1360, have the same model
of a pixel: flux times the effective PSF at the distance from the star). D is the least-squares solution in which
D / M^0.75 is smooth over half of the FWHM: where the noise leaves no information, the PSF is the profile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

LANCZOS = 4
"""Half-width in pixels of the kernel that interpolates the correction."""
SOFTENING = 0.75
"""The correction is measured in units of the profile to this power: far out it may exceed the profile."""
SMOOTHNESS = 1.0
"""Change of the correction, in these units, that is expected over half of the FWHM."""
LARGEST_CORRECTION = 2.0
"""Correction, in the same units, that is expected without data (1 sigma)."""
MODEL_ERROR = 0.02
"""Error of a pixel as a fraction of the star's light in it, so that one very bright star does not count alone."""
PROFILE_ERROR = 0.2
"""The same for the fit of the profile: its wings count, because its core is corrected."""
LEAST_EXPONENT = 1.45
"""Least exponent of the profile: the wings of diffraction, r^-3, have 1.5."""
CLIPPED_SIGMA = 5.0
"""Pixels that differ from the PSF by more of their errors are ignored."""
ROUNDS = 4


@dataclass(frozen=True)
class StarStamp:
    """The pixels around a star.

    Parameters
    ----------
    data : array (ny, nx)
        Image units; the background is in it.
    error : array (ny, nx)
        Noise (1 sigma); inf where a pixel is masked.
    y, x : float
        Position in the stamp, 0-based.
    flux : float
    ring : array (n, 3)
        Unmasked pixels around the stamp, for the background: y and x in the stamp's pixels, and the value.
    background : float
    neighbours : float
        Light of other sources in the stamp, which are masked, as a fraction of the star's.
    """

    data: np.ndarray
    error: np.ndarray
    y: float
    x: float
    flux: float
    ring: np.ndarray
    background: float = 0.0
    neighbours: float = 0.0


@dataclass(frozen=True)
class Moffat:
    """An elliptical Moffat profile of unit integral: scale in pixels, exponent, ellipticity along x and along y = x."""

    alpha: float
    beta: float
    e1: float = 0.0
    e2: float = 0.0

    def __call__(self, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Return the light per square pixel at offsets in pixels; `dy` and `dx` are broadcast."""
        squared = ((1 - self.e1) * dx**2 + (1 + self.e1) * dy**2 - 2 * self.e2 * dx * dy) / self.alpha**2
        area = np.sqrt(1.0 - self.e1**2 - self.e2**2)
        return (self.beta - 1.0) * area / (np.pi * self.alpha**2) * (1.0 + squared) ** -self.beta

    @property
    def fwhm(self) -> float:
        """FWHM in pixels, the mean of both axes."""
        return float(2.0 * self.alpha * np.sqrt(2.0 ** (1.0 / self.beta) - 1.0))


@dataclass(frozen=True)
class BuiltPsf:
    """A PSF built from stars.

    Parameters
    ----------
    data : array (n, n)
        Light per PSF pixel, of unit sum; n is odd and the star lies close to the middle pixel.
    oversampling : int
        PSF pixels per image pixel.
    held : float
        Fraction of a star's light inside the array, if the light beyond it is that of the profile.
    stars : tuple of StarStamp
        With the fitted positions, fluxes and background levels.
    residuals : tuple of array
        Stamp minus background and model, over the star's flux; NaN where masked.
    excess : array
        Residual of each star near its centre beyond the noise, as a fraction of its light.
    weights : array
        Share of each star in the PSF; the sum is 1.
    fwhm : float
        Of the fitted profile, image pixels.
    """

    data: np.ndarray
    oversampling: int
    held: float
    stars: tuple[StarStamp, ...]
    residuals: tuple[np.ndarray, ...]
    excess: np.ndarray
    weights: np.ndarray
    fwhm: float


def build_psf(stamps: Sequence[StarStamp], *, oversampling: int, fwhm: float) -> BuiltPsf:
    """Return the effective PSF of stars, over the area of their stamps.

    Parameters
    ----------
    stamps : sequence of StarStamp
        Of one shape.
    oversampling : int
        PSF pixels per image pixel.
    fwhm : float
        Approximate FWHM in image pixels.

    Raises
    ------
    ValueError
        There is no star.
    """
    if not stamps:
        raise ValueError("a PSF needs at least one star")
    stars = list(stamps)
    profile = Moffat(alpha=fwhm, beta=3.0)
    for _ in range(3):
        profile = _fitted_profile(stars, profile)
        stars = [_fitted_star(star, _of_profile(profile)) for star in stars]
        stars = [_with_background(star, profile) for star in stars]
    grid = _Grid.around(stars[0].data.shape, oversampling, profile)
    correction = np.zeros(grid.scale.shape)
    for _ in range(ROUNDS):
        correction = grid.correction(stars, correction)
        total = (grid.profile + correction).sum() / oversampling**2
        stars = [_fitted_star(star, grid.with_correction(correction)) for star in stars]
        stars = [_with_background(star, profile) for star in stars]
    data = (grid.profile + correction) / (total * oversampling**2)
    beyond = max(1.0 - float(grid.profile.sum()) / oversampling**2, 0.0)
    seen = [grid.seen(star, correction) for star in stars]
    pairs = list(zip(stars, seen, strict=True))
    differences = [_residual(star, light, profile.fwhm) for star, light in pairs]
    weights = np.array([_weight(star, light) for star, light in pairs])
    stars = [replace(star, flux=star.flux * total) for star in stars]
    found = tuple(residual / total for residual, _ in differences)
    excess = np.array([unlike for _, unlike in differences])
    held = float(total / (total + beyond))
    return BuiltPsf(data, oversampling, held, tuple(stars), found, excess, weights / weights.sum(), profile.fwhm)


def _offsets(star: StarStamp) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = star.data.shape
    return np.arange(ny)[:, None] - star.y, np.arange(nx)[None, :] - star.x


def _fitted_profile(stars: Sequence[StarStamp], start: Moffat) -> Moffat:
    """Return the profile that fits all stars at their positions, each with its own flux."""
    from scipy.optimize import least_squares

    def profile_of(p: np.ndarray) -> Moffat:
        length = np.hypot(p[2], p[3])
        limited = np.tanh(length) / length if length > 0 else 1.0
        return Moffat(float(np.exp(p[0])), float(1.0 + np.exp(p[1])), float(p[2] * limited), float(p[3] * limited))

    def residuals(p: np.ndarray) -> np.ndarray:
        profile = profile_of(p)
        found = np.concatenate([_profile_residual(star, profile) for star in stars])
        return np.arctan(found / CLIPPED_SIGMA) * CLIPPED_SIGMA

    length = np.hypot(start.e1, start.e2)
    stretched = np.arctanh(length) / length if length > 0 else 1.0
    first = [np.log(start.alpha), np.log(start.beta - 1.0), start.e1 * stretched, start.e2 * stretched]
    low, high = [np.log(0.2), np.log(LEAST_EXPONENT - 1.0), -1.5, -1.5], [np.log(1000.0), np.log(30.0), 1.5, 1.5]
    return profile_of(least_squares(residuals, np.clip(first, low, high), bounds=(low, high)).x)


def _profile_residual(star: StarStamp, profile: Moffat) -> np.ndarray:
    """Return stamp and surroundings of a star minus the best flux and background of a profile, over the errors."""
    y, x, values = star.ring.T
    light = np.concatenate([profile(*_offsets(star)).ravel(), profile(y - star.y, x - star.x)])
    data = np.concatenate([star.data.ravel(), values])
    noise = np.concatenate([star.error.ravel(), np.full(values.size, np.median(star.error))])
    error = np.hypot(noise, PROFILE_ERROR * star.flux * light)
    terms = np.stack([light, np.ones_like(light)]) / error
    flux, background = np.linalg.solve(terms @ terms.T, terms @ (data / error))
    return np.asarray((data - flux * light - background) / error)


def _of_profile(profile: Moffat) -> Callable[[StarStamp], np.ndarray]:
    return lambda star: profile(*_offsets(star))


def _fitted_star(star: StarStamp, seen: Callable[[StarStamp], np.ndarray]) -> StarStamp:
    """Return a star with flux and position of the least-squares fit of the PSF `seen(star)`, linear in the shift."""
    step = 0.05
    light, data = seen(star), star.data - star.background
    error = _errors(star, light, data)
    along_y = (seen(replace(star, y=star.y + step)) - seen(replace(star, y=star.y - step))) / (2 * step)
    along_x = (seen(replace(star, x=star.x + step)) - seen(replace(star, x=star.x - step))) / (2 * step)
    terms = np.stack([light / error, along_y / error, along_x / error]).reshape(3, -1)
    flux, dy, dx = np.linalg.solve(terms @ terms.T, terms @ (data / error).ravel())
    if not flux > 0:
        return star
    shift = np.clip([dy / flux, dx / flux], -0.5, 0.5)
    return replace(star, flux=float(flux), y=star.y + float(shift[0]), x=star.x + float(shift[1]))


def _errors(star: StarStamp, light: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the error of each pixel, with that of the model; inf where it is masked or far from the model."""
    error = np.hypot(star.error, MODEL_ERROR * star.flux * np.abs(light))
    far = np.abs(data - star.flux * light) > CLIPPED_SIGMA * np.hypot(error, 0.1 * star.flux * np.abs(light))
    return np.where(far, np.inf, error)


def _with_background(star: StarStamp, profile: Moffat) -> StarStamp:
    """Return a star with the mean of the pixels around its stamp, without its own wings, clipped at 3 sigma."""
    y, x, values = star.ring.T
    values = values - star.flux * profile(y - star.y, x - star.x)
    for _ in range(5):
        middle = np.median(values)
        sigma = 1.4826 * np.median(np.abs(values - middle))
        kept = np.abs(values - middle) <= 3.0 * sigma
        if kept.all() or not sigma > 0:
            break
        values = values[kept]
    return replace(star, background=float(values.mean()))


def _residual(star: StarStamp, light: np.ndarray, fwhm: float) -> tuple[np.ndarray, float]:
    """Return the residual of a star over its flux, and how much of it, within 1.5 FWHM, is more than noise."""
    masked = ~np.isfinite(star.error)
    residual = np.where(masked, np.nan, star.data - star.background - star.flux * light)
    dy, dx = _offsets(star)
    near = (np.hypot(dy, dx) < 1.5 * fwhm) & ~masked
    chance = 1.0 + 4.0 * np.sqrt(2.0 / max(int(np.count_nonzero(near)), 1))
    power = (residual[near] ** 2).sum() - chance * (star.error[near] ** 2).sum()
    beyond = np.sqrt(max(float(power), 0.0) / float(((star.flux * light[near]) ** 2).sum()))
    return residual / star.flux, float(beyond)


def _weight(star: StarStamp, light: np.ndarray) -> float:
    """Return the square of a star's S/N, with the error of the model."""
    own = star.flux * light
    return float(((own / np.hypot(star.error, MODEL_ERROR * own)) ** 2).sum())


@dataclass(frozen=True)
class _Grid:
    """The pixels of the PSF: the profile on them, the scale of its correction, the roughness that is expected."""

    profile: np.ndarray
    scale: np.ndarray
    oversampling: int
    half_fwhm: float
    analytic: Moffat

    @classmethod
    def around(cls, shape: tuple[int, ...], oversampling: int, profile: Moffat) -> _Grid:
        half = max(shape) // 2 * oversampling
        offsets = np.arange(-half, half + 1) / oversampling
        values = profile(offsets[:, None], offsets[None, :])
        scale = values.max() * (values / values.max()) ** SOFTENING
        return cls(values, scale, oversampling, 0.5 * profile.fwhm * oversampling, profile)

    def matrices(self, star: StarStamp) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrices that interpolate an image on the grid to the rows and columns of a star's stamp."""
        middle = self.profile.shape[0] // 2
        return tuple(
            _lanczos(offsets.ravel() * self.oversampling + middle, self.profile.shape[0]) for offsets in _offsets(star)
        )  # type: ignore[return-value]

    def seen(self, star: StarStamp, correction: np.ndarray) -> np.ndarray:
        """Return the light of a star of unit flux in the pixels of its stamp."""
        rows, columns = self.matrices(star)
        return self.analytic(*_offsets(star)) + rows @ correction @ columns.T

    def with_correction(self, correction: np.ndarray) -> Callable[[StarStamp], np.ndarray]:
        """Return `seen` with this correction."""
        return lambda star: self.seen(star, correction)

    def correction(self, stars: Sequence[StarStamp], start: np.ndarray) -> np.ndarray:
        """Return the correction that fits all stars at their positions and fluxes, from that of the last round."""
        from scipy.sparse.linalg import LinearOperator, cg

        rows, columns = (np.stack(each) for each in zip(*map(self.matrices, stars), strict=True))
        weight, target = [], []
        for star in stars:
            data = star.data - star.background
            error = _errors(star, self.seen(star, start), data)
            weight.append((star.flux / error) ** 2)
            target.append(np.where(np.isfinite(error), data / star.flux - self.analytic(*_offsets(star)), 0.0))
        weights, targets = np.stack(weight), np.stack(target)
        back_rows, forth_columns = rows.transpose(0, 2, 1), columns.transpose(0, 2, 1)
        rough, small = (self.half_fwhm**2 / SMOOTHNESS) ** 2, LARGEST_CORRECTION**-2

        def normal(flat: np.ndarray) -> np.ndarray:
            units = flat.reshape(self.scale.shape)
            seen = rows @ (self.scale * units) @ forth_columns
            pulled = (back_rows @ (weights * seen) @ columns).sum(axis=0)
            return np.asarray(self.scale * pulled + rough * _laplacian(_laplacian(units)) + small * units).ravel()

        right = self.scale * (back_rows @ (weights * targets) @ columns).sum(axis=0)
        diagonal = self.scale**2 * (back_rows**2 @ weights @ columns**2).sum(axis=0) + 20.0 * rough + small
        size = self.scale.size
        found, _ = cg(
            LinearOperator((size, size), normal, dtype=float), right.ravel(), x0=(start / self.scale).ravel(),
            rtol=1e-5, maxiter=400, M=LinearOperator((size, size), lambda v: v / diagonal.ravel(), dtype=float),
        )  # fmt: skip
        return np.asarray(self.scale * found.reshape(self.scale.shape))


def _lanczos(places: np.ndarray, length: int) -> np.ndarray:
    """Return the matrix that interpolates `length` samples at fractional places; each row has the sum 1 or less."""
    distance = places[:, None] - np.arange(-LANCZOS - 1, length + LANCZOS + 1)[None, :]
    kernel = np.where(np.abs(distance) < LANCZOS, np.sinc(distance) * np.sinc(distance / LANCZOS), 0.0)
    total = np.maximum(kernel.sum(axis=1, keepdims=True), 0.5)  # less only for places off the grid
    return (kernel / total)[:, LANCZOS + 1 : -LANCZOS - 1]


def _laplacian(values: np.ndarray) -> np.ndarray:
    """Return the sum of the second differences along both axes, with equal values beyond the border (symmetric)."""
    padded = np.pad(values, 1, mode="edge")
    return padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4.0 * values
