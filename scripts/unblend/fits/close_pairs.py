"""Unresolved pairs: two galaxies so close together that the detection takes them for one.

The light of a segment is fitted with one Sersic profile, and where that leaves something, with two. Two profiles fit a
galaxy with knots, arms or a bulge better than one, too. A pair is told apart in four ways: two profiles leave next to
nothing, where a spiral leaves its other knots and arms; the fainter one has a good part of the light, more than a knot;
each outshines the other at its own centre, as arms do not; and their centres differ, unlike those of bulge and disc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..core.units import FWHM_PER_SIGMA
from ..images.matched_filter import matched_filter
from ..images.psf import fwhm
from ..models.sersic import Sersic, intensity_from_flux
from .exact_fit import Objective, Point, lowest_point
from .exact_model import ExactModel
from .fit_psf import as_psf
from .imfit import Pixels, sky_block
from .imfit_config import Block, Function, Parameter
from .start_values import start_values

MIN_RESIDUAL_PEAK = 3.5
"""Signal-to-noise ratio of the highest residual of one profile from which two are tried: 95 % of 164 smooth galaxies
have a lower one, so that the second fit, which takes five times as long, is made for few."""
START_FRACTION = 0.3
"""Fraction of the flux from which the fainter galaxy starts at the highest residual."""
DISTANT_FWHM = 1.5
"""Distance of the highest residual from the centre, in FWHM, beyond which one profile describes the brighter galaxy."""
FIRST_STEPS, ALL_STEPS = 10, 120
"""Steps of a fit of two profiles after which it must have half of what a pair needs, and largest number of steps."""
MIN_EXPLAINED = 0.8
"""Least fraction of the excess of chi2 that the second profile explains: more than 0.9 in pairs of smooth galaxies, and
below 0.7 in four of five spirals."""
MAX_CHI2, MAX_PEAK = 1.2, 6.0
"""Largest reduced chi2 in the segment, and highest residual in sigma, that two profiles may leave."""
MIN_FRACTION = 0.12
"""Least fraction of the light in the fainter galaxy of a pair. Knots of drawn spirals have up to 0.11."""
MIN_CONTRAST = 1.3
"""Least ratio of the brightness of either profile to that of the other at its own centre, PSF included."""
MIN_SEPARATION_FWHM = 0.5
"""Least distance of the centres in FWHM of the PSF."""
INDEX_LIMITS = (0.3, 6.0)
"""Range of the Sersic indices."""
MAX_MOVE_PIXELS = 6.0
"""How far a centre may move from its start."""


@dataclass(frozen=True)
class ClosePair:
    """Two galaxies in one segment.

    Parameters
    ----------
    y, x : float
        Centre of the fainter one, 0-based pixels of the detection image.
    fraction : float
        Its part of the light of both.
    snr : float
        Square root of the decrease of chi2 from one profile to two, corrected for correlated noise.
    nearer : bool array (ny, nx)
        True on the pixels of the fit in which the fainter one is the brighter of both.
    """

    y: float
    x: float
    fraction: float
    snr: float
    nearer: np.ndarray


def find_pair(
    pixels: Pixels, own: np.ndarray, psf: np.ndarray, *, min_snr: float = 10.0, noise_factor: float = 1.0
) -> ClosePair | None:
    """Return the two galaxies of a segment, None if it is one galaxy or not known to be two.

    Parameters
    ----------
    pixels : Pixels
        The segment and the sky around it; other segments are masked. The sky may have a level.
    own : bool array (ny, nx)
        True on the segment.
    psf : array (odd, odd)
        PSF from `fit_psf`.
    min_snr : float
        Least square root of the decrease of chi2 by the second profile, which is below 4.4 in 99 % of smooth galaxies.
    noise_factor : float
        Scatter of the matched filter on empty sky, above 1 for correlated noise.
    """
    own = own & ~pixels.mask
    if not own.any() or not (~own & ~pixels.mask).any():
        return None
    search = _Search(pixels, own, psf, min_snr * noise_factor, noise_factor)
    one = search.fit_one()
    if one is None or search.highest_residual(one)[0] < MIN_RESIDUAL_PEAK:
        return None
    for starts in search.pairs(one):
        two = search.fit_two(starts, one)
        if two is not None and (pair := search.pair(one, two)) is not None:
            return pair
    return None


@dataclass(frozen=True)
class _Search:
    """The light of one segment and fits of it, with the arguments of `find_pair`."""

    pixels: Pixels
    own: np.ndarray
    psf: np.ndarray
    root_gain: float
    noise_factor: float

    @cached_property
    def model(self) -> ExactModel:
        """The exact model on the pixels."""
        return ExactModel(self.pixels, self.psf)

    @cached_property
    def width(self) -> float:
        """FWHM of the PSF in pixels."""
        return float(fwhm(as_psf(self.psf)))

    @cached_property
    def sky(self) -> Block:
        """The sky, free within three errors of its median."""
        sky = ~self.own & ~self.pixels.mask
        level = float(np.median(self.pixels.image[sky]))
        error = float(np.median(self.pixels.error[sky])) / math.sqrt(np.count_nonzero(sky))
        return sky_block(level, 3.0 * error)

    @cached_property
    def first(self) -> Sersic:
        """Start values of one profile, in pixels of the detection image."""
        level = self.sky.functions[0]["I_sky"].value
        s = start_values(self.pixels.image - level, self.own, self.psf)
        box = self.pixels.box
        return Sersic(s.y + box.y0, s.x + box.x0, s.pa, s.ell, s.n, s.i_e, s.r_e)

    def blocks(self, starts: Sequence[Sersic]) -> tuple[Block, ...]:
        """Return profiles with these start values and limits, and the sky."""
        largest = 2.0 * math.sqrt(np.count_nonzero(self.own) / math.pi)
        return (*(_block(start, largest) for start in starts), self.sky)

    def fit_one(self) -> Point | None:
        """Return the best fit of one profile."""
        return self._lowest(self.blocks([self.first]), ALL_STEPS)

    def fit_two(self, starts: Sequence[Sersic], one: Point) -> Point | None:
        """Return the best fit of two profiles from these start values; None where it will not be that of a pair."""
        two = self._lowest(self.blocks(starts), FIRST_STEPS)
        if two is None or one.chi2 - two.chi2 < 0.5 * self.required_gain(one):
            return None
        return self._lowest(two.blocks, ALL_STEPS - FIRST_STEPS)

    def required_gain(self, one: Point) -> float:
        """Return the least decrease of chi2 from one profile to two."""
        return max(self.root_gain**2, MIN_EXPLAINED * (one.chi2 - self.pixels.count))

    def _lowest(self, blocks: Sequence[Block], max_steps: int) -> Point | None:
        objective = Objective(self.model)
        lowest = lowest_point(objective, objective.at(blocks), max_steps)
        return None if lowest is None else lowest.point

    def residual(self, fit: Point) -> np.ndarray:
        """Return what a fit leaves in units of the noise, shape (ny, nx); 0 where masked."""
        left = (self.pixels.image - self.model.image(fit.blocks)) / self.pixels.error
        return np.asarray(np.where(self.pixels.mask, 0.0, left))

    def highest_residual(self, fit: Point) -> tuple[float, int, int]:
        """Return the highest signal-to-noise ratio that a fit leaves in the segment, and its pixel of the image."""
        unit_error = np.where(self.pixels.mask, np.inf, 1.0)
        snr = np.where(self.own, matched_filter(self.residual(fit), unit_error, self.width), -np.inf)
        y, x = np.unravel_index(int(np.argmax(snr)), snr.shape)
        return float(snr[y, x]) / self.noise_factor, int(y) + self.pixels.box.y0, int(x) + self.pixels.box.x0

    def pairs(self, one: Point) -> list[list[Sersic]]:
        """Return start values of two profiles: one at the highest residual, and both ends of the long axis.

        Beside a residual close to the centre the other profile starts on the opposite side of the centre of one
        profile, which lies between both galaxies; beside a distant one it starts as that profile.
        """
        alone, (height, y, x) = _profile(one.blocks[0]), self.highest_residual(one)
        towards = (y - alone.y, x - alone.x)
        angle = math.radians(alone.pa)
        half = max(alone.r_e * math.sqrt(1.0 - (1.0 - alone.ell) ** 2), 1.0)
        at_residual = self._two_discs(alone, towards, START_FRACTION)
        if math.hypot(*towards) > DISTANT_FWHM * self.width:
            # a peak of S/N h in the filter has the flux h σ √(4 π) times the sigma of the filter
            noise = float(np.median(self.pixels.error[self.own])) * self.noise_factor
            second = height * noise * math.sqrt(4.0 * math.pi) * self.width / FWHM_PER_SIGMA
            second = min(second, 0.5 * alone.total_flux)
            brightness = alone.i_e * (1.0 - second / alone.total_flux)
            at_residual = [replace(alone, i_e=brightness), _disc(float(y), float(x), second, 0.5 * self.width)]
        return [at_residual, self._two_discs(alone, (half * math.cos(angle), -half * math.sin(angle)), 0.5)]

    def _two_discs(self, alone: Sersic, offset: tuple[float, float], fraction: float) -> list[Sersic]:
        """Return two exponential discs with the flux and the centroid of a profile, the fainter one at an offset."""
        size = max(0.6 * alone.r_e * math.sqrt(1.0 - alone.ell), 0.3 * self.width)
        away = -fraction / (1.0 - fraction)
        return [
            _disc(alone.y + k * offset[0], alone.x + k * offset[1], part * alone.total_flux, size)
            for k, part in ((away, 1.0 - fraction), (1.0, fraction))
        ]

    def pair(self, one: Point, two: Point) -> ClosePair | None:
        """Return the pair that two profiles describe, None if they do not describe one."""
        profiles = [(_profile(block), block) for block in two.blocks[:2]]
        (bright, bright_block), (faint, faint_block) = sorted(profiles, key=lambda p: -p[0].total_flux)
        fraction = faint.total_flux / (bright.total_flux + faint.total_flux)
        if fraction < MIN_FRACTION or not self._explains(one, two):
            return None
        if math.hypot(bright.y - faint.y, bright.x - faint.x) < MIN_SEPARATION_FWHM * self.width:
            return None
        of_bright, of_faint = self.model.image([bright_block]), self.model.image([faint_block])
        places = [self._place(profile) for profile in (bright, faint)]
        if any(place is None for place in places):
            return None
        at_bright, at_faint = places
        if (
            of_bright[at_bright] < MIN_CONTRAST * of_faint[at_bright]
            or of_faint[at_faint] < MIN_CONTRAST * of_bright[at_faint]
        ):
            return None
        snr = math.sqrt(one.chi2 - two.chi2) / self.noise_factor
        return ClosePair(faint.y, faint.x, fraction, snr, of_faint > of_bright)

    def _explains(self, one: Point, two: Point) -> bool:
        """Return whether two profiles explain nearly all that one leaves."""
        if one.chi2 - two.chi2 < self.required_gain(one):
            return False
        if np.mean(self.residual(two)[self.own] ** 2) > MAX_CHI2:
            return False
        return self.highest_residual(two)[0] < MAX_PEAK

    def _place(self, profile: Sersic) -> tuple[int, int] | None:
        """Return the pixel of a centre in the arrays; None if it does not lie in the segment."""
        y, x = round(profile.y) - self.pixels.box.y0, round(profile.x) - self.pixels.box.x0
        inside = 0 <= y < self.own.shape[0] and 0 <= x < self.own.shape[1]
        return (y, x) if inside and self.own[y, x] else None


def _disc(y: float, x: float, flux: float, r_e: float) -> Sersic:
    """Return an exponential disc to start from."""
    return Sersic(y, x, 0.0, 0.15, 1.0, intensity_from_flux(1.0, r_e, 0.15, flux), r_e)


def _block(start: Sersic, largest: float) -> Block:
    """Return a profile with limits: within `MAX_MOVE_PIXELS` of its start, r_e up to `largest` pixels."""
    low, high = INDEX_LIMITS
    values = (
        Parameter("PA", start.pa),
        Parameter("ell", min(max(start.ell, 0.05), 0.85), 0.0, 0.9),
        Parameter("n", min(max(start.n, 1.1 * low), 0.9 * high), low, high),
        Parameter("I_e", start.i_e, 0.0, 1e6 * start.i_e),
        Parameter("r_e", min(max(start.r_e, 0.3), 0.9 * largest), 0.05, largest),
    )
    y, x = (
        Parameter(name, value, value - MAX_MOVE_PIXELS, value + MAX_MOVE_PIXELS)
        for name, value in (("Y0", start.y), ("X0", start.x))
    )
    return Block(y, x, (Function("Sersic", values),))


def _profile(block: Block) -> Sersic:
    """Return the profile of a block."""
    assert block.y0 is not None and block.x0 is not None
    values = (parameter.value for parameter in block.functions[0].parameters)
    return Sersic(block.y0.value, block.x0.value, *values)
