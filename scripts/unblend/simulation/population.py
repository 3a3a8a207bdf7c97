"""A population of galaxies and stars of a deep extragalactic field: counts, sizes, shapes, colours, positions.

Magnitudes are AB, sizes in arcsec, position angles from north to east.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import ARCSEC_PER_DEG, offset_arcsec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SED_WAVELENGTH_UM = np.array([0.09, 0.15, 0.25, 0.36, 0.42, 0.60, 1.0, 1.6, 2.5, 4.5, 8.0])
SED_YOUNG_AB = np.array([2.5, 0.8, 0.8, 0.8, 0.35, 0.2, 0.05, 0.0, 0.4, 0.8, 1.2])
SED_OLD_AB = np.array([8.0, 6.5, 5.0, 3.4, 1.8, 1.0, 0.35, 0.0, 0.45, 1.0, 1.6])
"""Rest-frame AB magnitudes relative to 1.6 um of a star-forming and of a passive galaxy, with a flat ultraviolet
continuum or a strong 4000 A break, the bump at the H- opacity minimum and the decline of starlight beyond it. They were
read by eye from Bruzual & Charlot (2003): colours are plausible and correlated, but not calibrated."""

STAR_WAVELENGTH_UM = np.array([0.4, 0.6, 0.81, 1.25, 1.54, 2.15, 3.6, 4.5, 8.0])
STAR_AB = np.array([4.0, 2.2, 1.0, 0.05, 0.0, 0.35, 1.15, 1.65, 2.8])
"""AB magnitudes of an early M dwarf relative to 1.54 um."""


@dataclass(frozen=True)
class Part:
    """A part of a galaxy: a bulge, a piece of a spiral arm, a knot of star formation.

    Parameters
    ----------
    east_arcsec, north_arcsec : float
        Offset of its centre from that of the galaxy.
    r_e_arcsec : float
        Half-light semi-major axis.
    fraction : float
        Fraction of the galaxy's light in all bands that `fraction_in` does not name.
    n, q, pa_deg : float
        Sersic index, axis ratio, position angle from north to east.
    fraction_in : mapping of band name to float
        Fraction of the galaxy's light by band, of a part with a colour of its own.
    """

    east_arcsec: float
    north_arcsec: float
    r_e_arcsec: float
    fraction: float
    n: float = 1.0
    q: float = 1.0
    pa_deg: float = 0.0
    fraction_in: Mapping[str, float] = field(default_factory=dict)

    def share(self, band: str | None) -> float:
        """Return the fraction of the galaxy's light in a band; None for a band without a name."""
        return self.fraction_in.get(band, self.fraction) if band is not None else self.fraction


@dataclass(frozen=True)
class SimulatedSource:
    """One simulated source, with the same profile in all bands unless its parts have colours of their own.

    Parameters
    ----------
    ra, dec : float
        Degrees, ICRS.
    mags : mapping of band name to AB magnitude
    n, r_e_arcsec, q, pa_deg : float
        Sersic index, half-light semi-major axis (0 for a star), axis ratio, position angle from north to east.
    kind : {"galaxy", "star", "clumpy", "red", "target", "parts"}
        Role of the source in the field.
    parts : tuple of Part
        Parts of a galaxy; the rest of its light is the Sersic profile.
    """

    ra: float
    dec: float
    mags: Mapping[str, float] = field(default_factory=dict)
    n: float = 1.0
    r_e_arcsec: float = 0.0
    q: float = 1.0
    pa_deg: float = 0.0
    kind: str = "galaxy"
    parts: tuple[Part, ...] = ()

    @property
    def is_star(self) -> bool:
        """Whether the source is a point."""
        return self.r_e_arcsec == 0


def galaxy_magnitudes(
    wavelength_um: np.ndarray, mag: float, *, reference_um: float, z: float, age: float, dust_av: float
) -> np.ndarray:
    """Return AB magnitudes of a galaxy at observed wavelengths.

    Parameters
    ----------
    wavelength_um : array (n,)
    mag, reference_um : float
        Magnitude of the galaxy at the reference wavelength.
    z : float
        Redshift.
    age : float
        From 0 (star-forming) to 1 (passive).
    dust_av : float
        The attenuation is dust_av (0.55 um / rest wavelength)^1.1 magnitudes.
    """

    def rest_mag(observed_um: np.ndarray | float) -> np.ndarray:
        """Return the relative magnitude at the rest wavelength of an observed one."""
        wave = np.asarray(observed_um, dtype=float) / (1.0 + z)
        young = np.interp(np.log(wave), np.log(SED_WAVELENGTH_UM), SED_YOUNG_AB)
        old = np.interp(np.log(wave), np.log(SED_WAVELENGTH_UM), SED_OLD_AB)
        return (1.0 - age) * young + age * old + dust_av * (0.55 / wave) ** 1.1

    return mag + rest_mag(wavelength_um) - rest_mag(reference_um)


def star_magnitudes(wavelength_um: np.ndarray, mag: float, *, reference_um: float) -> np.ndarray:
    """Return AB magnitudes of an M dwarf at observed wavelengths.

    Parameters
    ----------
    wavelength_um : array (n,)
    mag, reference_um : float
        Magnitude of the star at the reference wavelength.
    """
    colour = np.interp(wavelength_um, STAR_WAVELENGTH_UM, STAR_AB)
    return mag + colour - np.interp(reference_um, STAR_WAVELENGTH_UM, STAR_AB)


def draw_count_magnitudes(
    rng: np.random.Generator, number: int, faintest: float, brightest: float = 20.0
) -> np.ndarray:
    """Draw magnitudes from number counts with log N(m) = 0.36 (m − 20) − 0.0125 (m − 20)².

    This is close to the near-infrared counts of deep fields, which are steep at the bright end and have a slope of 0.21
    at magnitude 26.

    Parameters
    ----------
    rng : Generator
    number : int
        Number of magnitudes.
    faintest, brightest : float
        Limits of the magnitudes.
    """
    grid = np.linspace(brightest, faintest, 400)
    step = grid - 20.0
    cumulative = np.cumsum(10.0 ** (0.36 * step - 0.0125 * step**2))
    return np.interp(rng.random(number), cumulative / cumulative[-1], grid)


def draw_shape(rng: np.random.Generator, mag: float) -> tuple[float, float, float, float]:
    """Draw (n, r_e along the major axis in arcsec, q, pa) of a galaxy.

    Seven in ten galaxies are discs; early types are small and round. The median r_e is 0.27" at magnitude 24 and
    decreases by 0.12 dex per magnitude, with a scatter of 0.18 dex. n is rounded to 0.1, because GalSim makes a look-up
    table for each n.
    """
    kind = rng.random()
    if kind < 0.70:
        n = float(np.clip(10 ** rng.normal(0.03, 0.13), 0.5, 2.0))
    elif kind < 0.88:
        n = float(rng.uniform(1.8, 3.5))
    else:
        n = float(rng.uniform(3.5, 6.0))
    early = n > 2.5
    size_dex = np.log10(0.27) - 0.12 * (mag - 24.0) - (0.15 if early else 0.0) + rng.normal(0.0, 0.18)
    r_e = float(np.clip(10**size_dex, 0.05, 1.2))
    # a disc of thickness 0.2 at a random inclination
    q = rng.uniform(0.55, 1.0) if early else np.sqrt(0.04 + 0.96 * rng.random() ** 2)
    return round(n, 1), r_e, float(q), float(rng.uniform(0.0, 180.0))


def draw_galaxy(
    rng: np.random.Generator, mag: float, wavelengths_um: Mapping[str, float], reference: str
) -> SimulatedSource:
    """Draw a galaxy with a position of (0, 0).

    Parameters
    ----------
    rng : Generator
    mag : float
        Magnitude in the reference band.
    wavelengths_um : mapping of band name to float
    reference : str
        Name of the reference band.
    """
    n, r_e, q, pa = draw_shape(rng, mag)
    z = float(np.clip((0.6 + 0.22 * (mag - 21.0)) * 10 ** rng.normal(0.0, 0.2), 0.15, 4.0))
    age = float(rng.uniform(0.6, 1.0) if n > 2.5 and z < 2.5 else rng.beta(1.5, 4.0))
    dust = float(0.1 if age > 0.6 else min(rng.exponential(0.4), 1.8))
    waves = np.array(list(wavelengths_um.values()))
    mags = galaxy_magnitudes(waves, mag, reference_um=wavelengths_um[reference], z=z, age=age, dust_av=dust)
    return SimulatedSource(
        0.0, 0.0, dict(zip(wavelengths_um, map(float, mags), strict=True)), n=n, r_e_arcsec=r_e, q=q, pa_deg=pa
    )


def with_parts(
    rng: np.random.Generator, galaxy: SimulatedSource, wavelengths_um: Mapping[str, float], reference: str
) -> SimulatedSource:
    """Return a spiral galaxy of the same size and brightness: an exponential disc, bulge, two arms and knots.

    The bulge (n from 1.5 to 4) has 5 to 30 % of the light in the reference band, the arms, which wind once around a
    disc of the same inclination, 10 to 30 %, and three to eight knots 0.5 to 4 % each. Bulges are redder than the
    galaxy, arms and knots bluer: their fractions change with wavelength by power laws.

    Parameters
    ----------
    rng : Generator
    galaxy : SimulatedSource
        Its r_e, q and position angle become those of the disc.
    wavelengths_um : mapping of band name to float
    reference : str
        Name of the reference band.
    """
    radius, q = galaxy.r_e_arcsec, galaxy.q
    part = functools.partial(_part, galaxy, wavelengths_um, reference)
    bulge_colour, young_colour = rng.uniform(0.1, 0.4), rng.uniform(-0.8, -0.2)
    bulge_fraction, arms_fraction = rng.uniform(0.05, 0.3), rng.uniform(0.1, 0.3)
    bulge_n, bulge_q = round(float(rng.uniform(1.5, 4.0)), 1), float(rng.uniform(max(q, 0.5), 1.0))
    bulge_r_e = radius * rng.uniform(0.12, 0.35)
    parts = [part(0, 0, bulge_r_e, bulge_fraction, bulge_colour, n=bulge_n, q=bulge_q, pa_deg=galaxy.pa_deg)]
    pieces, begin, winding = 9, rng.uniform(0.0, 2.0 * np.pi), rng.choice([-1.0, 1.0])
    for arm in (0.0, np.pi):
        for step in np.linspace(0.0, 1.0, pieces):
            distance, angle = 0.45 * 4.0**step, begin + arm + winding * 2.0 * np.pi * 0.8 * step
            place = (distance * np.cos(angle), distance * np.sin(angle))
            weight = arms_fraction / 2.0 / pieces
            parts.append(part(*place, radius * (0.12 + 0.1 * step), weight, young_colour))
    for _ in range(rng.integers(3, 9)):
        distance, angle = rng.uniform(0.3, 1.8), rng.uniform(0.0, 2.0 * np.pi)
        place = (distance * np.cos(angle), distance * np.sin(angle))
        fraction, size = float(rng.uniform(0.005, 0.04)), float(rng.uniform(0.03, 0.1))
        parts.append(part(*place, size, fraction, 1.5 * young_colour))
    return replace(galaxy, n=1.0, kind="parts", parts=tuple(parts))


def with_bulge(
    rng: np.random.Generator, galaxy: SimulatedSource, wavelengths_um: Mapping[str, float], reference: str
) -> SimulatedSource:
    """Return a galaxy of the same size and brightness that consists of an exponential disc and a redder bulge.

    The bulge (n from 1.5 to 4) has 10 to 60 % of the light in the reference band, and 0.12 to 0.35 of the half-light
    radius of the disc.

    Parameters
    ----------
    rng, galaxy, wavelengths_um, reference
        As in `with_parts`.
    """
    colour, fraction = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.6)
    shape = {"n": round(float(rng.uniform(1.5, 4.0)), 1), "q": float(rng.uniform(max(galaxy.q, 0.5), 1.0))}
    r_e = galaxy.r_e_arcsec * rng.uniform(0.12, 0.35)
    bulge = _part(galaxy, wavelengths_um, reference, 0.0, 0.0, r_e, fraction, colour, **shape, pa_deg=galaxy.pa_deg)
    return replace(galaxy, n=1.0, kind="parts", parts=(bulge,))


def _part(
    galaxy: SimulatedSource, wavelengths_um: Mapping[str, float], reference: str, along: float, across: float,
    r_e: float, fraction: float, slope: float, **shape: float,
) -> Part:  # fmt: skip
    """Return a part of a galaxy at a place in the plane of its disc.

    Parameters
    ----------
    galaxy, wavelengths_um, reference
        As in `with_parts`.
    along, across : float
        Place along the major axis and across it, in units of the half-light radius of the disc.
    r_e : float
        Half-light radius in arcsec.
    fraction : float
        Of the light in the reference band. It changes with the wavelength to the power of `slope`.
    slope : float
    **shape : float
        n, q, pa_deg.
    """
    pa = np.deg2rad(galaxy.pa_deg)
    along, across = along * galaxy.r_e_arcsec, across * galaxy.r_e_arcsec * galaxy.q
    east, north = along * np.sin(pa) + across * np.cos(pa), along * np.cos(pa) - across * np.sin(pa)
    ratio = {name: wave / wavelengths_um[reference] for name, wave in wavelengths_um.items()}
    own = {name: fraction * value**slope for name, value in ratio.items()}
    return Part(float(east), float(north), r_e, fraction, fraction_in=own, **shape)


def sky_at(centre: tuple[float, float], east_arcsec: float, north_arcsec: float) -> tuple[float, float]:
    """Return (ra, dec) in degrees of an offset in the tangent plane (inverse gnomonic projection).

    Parameters
    ----------
    centre : (ra, dec)
        Degrees.
    east_arcsec, north_arcsec : float
        Offset from the centre.
    """
    ra0, dec0 = np.deg2rad(centre)
    x, y = np.deg2rad(east_arcsec / ARCSEC_PER_DEG), np.deg2rad(north_arcsec / ARCSEC_PER_DEG)
    below = np.cos(dec0) - y * np.sin(dec0)
    ra = ra0 + np.arctan2(x, below)
    dec = np.arctan2(np.sin(dec0) + y * np.cos(dec0), np.hypot(x, below))
    return float(np.rad2deg(ra)), float(np.rad2deg(dec))


def place_source(
    rng: np.random.Generator,
    source: SimulatedSource,
    placed: Sequence[SimulatedSource],
    *,
    centre: tuple[float, float],
    side_arcsec: float,
    clustered: float = 0.3,
    gap_arcsec: float = 0.6,
) -> SimulatedSource:
    """Return a source at a random position that does not overlap the sources placed before.

    The distance to other sources is at least `gap_arcsec` plus 0.8 of both r_e: no detection would separate closer
    pairs.

    Parameters
    ----------
    rng : Generator
    source : SimulatedSource
    placed : sequence of SimulatedSource
        Sources placed before.
    centre : (ra, dec)
        Centre of the populated square in degrees.
    side_arcsec : float
        Side of this square.
    clustered : float
        Fraction of sources that are placed near an earlier one, at an exponential distance of scale 2.5", which makes
        pairs and small groups.
    gap_arcsec : float

    Raises
    ------
    ValueError
        If no free position is found.
    """
    half = side_arcsec / 2.0
    east, north = (np.zeros(0), np.zeros(0))
    if placed:
        east, north = offset_arcsec(np.array([p.ra for p in placed]), np.array([p.dec for p in placed]), *centre)
    free = np.array([_clearance_arcsec(p, source, gap_arcsec) for p in placed])
    near = bool(placed) and rng.random() < clustered
    for _ in range(1000):
        if near:
            host = rng.integers(len(placed))
            radius, angle = 0.6 + rng.exponential(2.5), rng.uniform(0.0, 2.0 * np.pi)
            e, n = float(east[host] + radius * np.cos(angle)), float(north[host] + radius * np.sin(angle))
        else:
            e, n = (float(v) for v in rng.uniform(-half, half, 2))
        if max(abs(e), abs(n)) <= half and bool(np.all(np.hypot(east - e, north - n) >= free)):
            ra, dec = sky_at(centre, e, n)
            return replace(source, ra=ra, dec=dec)
    raise ValueError(
        f"There is no room for another source in a square of {side_arcsec:g} arcsec with {len(placed)} sources: "
        "reduce the number of sources."
    )


def _clearance_arcsec(placed: SimulatedSource, source: SimulatedSource, gap_arcsec: float) -> float:
    """Return the smallest allowed distance of a new source from a placed one."""
    if placed.kind == "clumpy":
        return 4.0  # its merge region with a radius of 1.1" must not touch another source
    if placed.kind == "red":
        return 1.5 + 3.0 * source.r_e_arcsec  # the segment of a neighbour, about 3 r_e, must not touch it
    return gap_arcsec + 0.8 * (placed.r_e_arcsec + source.r_e_arcsec)


def draw_population(
    rng: np.random.Generator,
    wavelengths_um: Mapping[str, float],
    *,
    reference: str,
    centre: tuple[float, float],
    side_arcsec: float,
    n_galaxies: int,
    n_stars: int = 0,
    faintest: float = 26.0,
    special: Sequence[SimulatedSource] = (),
    structured_to_ab: float | None = None,
    arms: bool = True,
) -> list[SimulatedSource]:
    """Return the special sources with stars and galaxies around them, brightest first in the reference band.

    Stars have magnitudes from 19 to 22.5 and are placed within the inner 0.6 of the side, where all detection images
    contain them.

    Parameters
    ----------
    rng : Generator
    wavelengths_um : mapping of band name to float
    reference : str
        Name of the reference band.
    centre : (ra, dec)
        Centre of the populated square in degrees.
    side_arcsec : float
        Side of this square.
    n_galaxies, n_stars : int
        Number of sources besides the special ones.
    faintest : float
        Magnitude limit of the galaxies.
    special : sequence of SimulatedSource
    structured_to_ab : float or None
        Magnitude in the reference band above which galaxies consist of bulge, disc, spiral arms and knots; None if all
        galaxies are smooth.
    arms : bool
        Whether they have arms and knots (`with_parts`), or bulge and disc alone (`with_bulge`).
    """
    placed = list(special)
    waves = np.array(list(wavelengths_um.values()))
    for _ in range(n_stars):
        mags = star_magnitudes(waves, float(rng.uniform(19.0, 22.5)), reference_um=wavelengths_um[reference])
        star = SimulatedSource(0.0, 0.0, dict(zip(wavelengths_um, map(float, mags), strict=True)), kind="star")
        placed.append(
            place_source(rng, star, placed, centre=centre, side_arcsec=0.6 * side_arcsec, clustered=0.0, gap_arcsec=1.5)
        )
    for mag in draw_count_magnitudes(rng, n_galaxies, faintest):
        galaxy = draw_galaxy(rng, float(mag), wavelengths_um, reference)
        if structured_to_ab is not None and mag < structured_to_ab:
            galaxy = (with_parts if arms else with_bulge)(rng, galaxy, wavelengths_um, reference)
        placed.append(place_source(rng, galaxy, placed, centre=centre, side_arcsec=side_arcsec))
    return sorted(placed, key=lambda s: s.mags[reference])
