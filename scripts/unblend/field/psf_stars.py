"""The PSF of a band, built from the stars of its image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import pixel_scale, pixel_to_sky, sky_to_pixel
from ..core.errors import InputError
from ..images.masks import circles, region_mask
from ..images.psf import centroid
from ..images.star_psf import BuiltPsf, StarStamp, build_psf
from ..images.star_selection import (
    FAINT_NEIGHBOURS,
    FEWEST,
    LEAST_SNR,
    FoundSources,
    find_sources,
    half_side_of,
    sources_at,
    star_like,
    star_stamp,
    stellar_radius,
)
from ..images.star_shapes import star_shape
from ..io.images import read_array, read_wcs
from ..io.regions import read_regions
from ..io.star_places import read_star_places
from ..io.tables import columns
from .detection_mask import detection_mask
from .weight_maps import checked_weight

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger(__name__)

LEAST_FWHM = 4.0
"""PSF pixels per FWHM of a PSF whose sampling is not given."""
MAX_OVERSAMPLING = 5
TIMES_MEDIAN = 3.0
"""A star whose residual beyond the noise is more times that of the median star is another kind of source."""
LARGEST_EXCESS = (0.03, 0.1)
"""Limits of this residual as a fraction of the star's light: a smaller one is good enough, a larger one never is."""
ENOUGH_ALONE = 5
"""Number of stars beside which none with more than faint neighbours is used."""
LEAST_HELD = 0.995
"""Least fraction of the light of the stars' profile in the stamp without a warning."""


@dataclass(frozen=True)
class StarPsf:
    """A PSF built from stars, and what became of each of them.

    Parameters
    ----------
    built : BuiltPsf
    table : structured array
        Columns of `bands/{band}/psf_stars.fits`: ra, dec (degrees), x, y (1-based pixels), snr, half_light_radius
        (arcsec), weight, residual (rms within the stamp over the peak of the PSF), fwhm (arcsec), ell, pa (degrees) of
        the stars that are used (`star_shapes`), and state: used, or why not.
    """

    built: BuiltPsf
    table: np.ndarray


def no_stars() -> np.ndarray:
    """Return the table of stars without rows."""
    return _table({}, {})


def star_psf(spec: Mapping[str, Any]) -> StarPsf:
    """Return the PSF that the stars of a band's image have.

    Parameters
    ----------
    spec : mapping
        `name`; `image`, `weight`, `border_regions` and `bad_regions` (`file` of each); `saturation`; `stars`:
        `places` (`file`, or None where stars are looked for), `oversampling` and `size_arcsec` (None: chosen).

    Raises
    ------
    InputError
        Fewer than three stars can be used, or they contradict each other.
    """
    name = spec["image"]["file"]
    image, wcs = read_array(name), read_wcs(name)
    weight = checked_weight(spec["weight"], image, spec["name"]) if spec["weight"] else None
    # saturated stars have a state of their own
    mask = detection_mask(spec["bad_regions"]["file"], wcs, image, weight, saturation=np.inf)
    mask |= region_mask(read_regions(spec["border_regions"]["file"]), wcs, image.shape)
    sources = find_sources(image, mask)
    wanted = spec["stars"]
    chosen = _chosen(spec, sources, wcs)
    scale = pixel_scale(wcs, image.shape)
    size = wanted["size_arcsec"] and wanted["size_arcsec"] / scale
    half = half_side_of(sources.radius[chosen], size) if len(chosen) else 0
    stamps: dict[int, StarStamp] = {}
    states: dict[int, str] = {}
    for star in chosen:
        found = star_stamp(image, mask, sources, star, half_side=half, saturation=spec["saturation"])
        states[star] = found if isinstance(found, str) else "used"
        if isinstance(found, StarStamp):
            stamps[star] = found
    _leave_out_blended(stamps, states)
    _check_number(spec, states)
    fwhm = 2.0 * float(np.median(sources.radius[list(stamps)]))
    sampling = wanted["oversampling"] or int(np.clip(np.ceil(LEAST_FWHM / fwhm), 1, MAX_OVERSAMPLING))
    built = _agreeing(spec, stamps, states, sampling, fwhm)
    if built.held < LEAST_HELD and spec["sum"] == "unit":
        log.warning(
            "%s: the profile of the stars has %.1f %% of its light beyond the PSF's square of %.2f arcsec, by which "
            "fluxes are too small: give a larger size (psf: {stars: …, size: …}), or psf_sum: given, which counts it.",
            spec["name"], 100.0 * (1.0 - built.held), built.data.shape[0] * scale / sampling,
        )  # fmt: skip
    return StarPsf(built, _described(built, stamps, states, sources, wcs, scale))


def _chosen(spec: Mapping[str, Any], sources: FoundSources, wcs: WCS) -> list[int]:
    """Return the sources that are stars: those at the given places, or the compact and bright ones."""
    places = spec["stars"]["places"]
    if places is None:
        radius = stellar_radius(sources)
        return [] if radius is None else star_like(sources, radius).tolist()
    given = read_star_places(places["file"])
    if isinstance(given, tuple):
        y, x = sky_to_pixel(wcs, *given)
    else:
        y, x, _ = np.array(circles(given, wcs)).T
    found = sources_at(sources, y, x)
    missing = int(np.count_nonzero(found < 0))
    if missing:
        log.warning("%s: there is no source within 3 pixels of %d of the %d stars in %s; they are ignored.",
                    spec["name"], missing, len(found), places["file"])  # fmt: skip
    return list(dict.fromkeys(found[found >= 0].tolist()))


def _leave_out_blended(stamps: dict[int, StarStamp], states: dict[int, str]) -> None:
    """Leave out stars with more than faint neighbours as far as `ENOUGH_ALONE` others remain, the worst first.

    The neighbours are masked. Fitting and subtracting them with a first PSF is not better: the light in circles differs
    from the truth by 0.2 to 0.8 % with it and by 0.2 to 0.6 % without, in eight drawn fields of 150 galaxies on 400²
    pixels.
    """
    by_neighbours = sorted(stamps, key=lambda star: stamps[star].neighbours)
    for number, star in enumerate(by_neighbours):
        if stamps[star].neighbours > FAINT_NEIGHBOURS and number >= ENOUGH_ALONE:
            states[star] = "blended"
            del stamps[star]


def _check_number(spec: Mapping[str, Any], states: Mapping[int, str]) -> None:
    """Check that enough stars can be used.

    Raises
    ------
    InputError
        There are fewer than `FEWEST`.
    """
    used = sum(state == "used" for state in states.values())
    if used >= FEWEST:
        return
    counts = Counter(state for state in states.values() if state != "used")
    reasons = ", ".join(f"{number} {state}" for state, number in counts.items())
    kind = "are listed" if spec["stars"]["places"] else f"look like stars of S/N > {LEAST_SNR:g}"
    raise InputError(
        f"bands.{spec['name']}.psf: {used} stars of {spec['image']['file']} can be used, expected at least {FEWEST} "
        f"({len(states)} sources {kind}{': ' + reasons if reasons else ''}). Give the file of a PSF, a file of stars "
        "(psf: {stars: FILE}), or a smaller size."
    )


def _agreeing(
    spec: Mapping[str, Any], stamps: dict[int, StarStamp], states: dict[int, str], oversampling: int, fwhm: float
) -> BuiltPsf:
    """Return the PSF of the stars that agree with each other; the others leave `stamps`.

    Parameters
    ----------
    spec : mapping
    stamps, states : dict
        By source; both are changed.
    oversampling : int
    fwhm : float
        Image pixels.

    Raises
    ------
    InputError
        Fewer than half of the stars agree, or fewer than `FEWEST`.
    """
    number = len(stamps)
    while True:
        built = build_psf(list(stamps.values()), oversampling=oversampling, fwhm=fwhm)
        limit = float(np.clip(TIMES_MEDIAN * np.median(built.excess), *LARGEST_EXCESS))
        worst = int(np.argmax(built.excess))
        if built.excess[worst] <= limit:
            return built
        # one at a time: a wrong star makes the right ones look wrong, too
        star = list(stamps)[worst]
        states[star] = "unlike the others"
        del stamps[star]
        if len(stamps) < max(FEWEST, number / 2):
            raise InputError(
                f"bands.{spec['name']}.psf: the stars of {spec['image']['file']} contradict each other: "
                f"{number - len(stamps)} of {number} differ from the PSF of the others by more than "
                f"{100 * limit:.0f} % of their light. Give the file of a PSF, or a file of stars (psf: {{stars: "
                "FILE})."
            )


def _described(
    built: BuiltPsf, stamps: Mapping[int, StarStamp], states: Mapping[int, str], sources: FoundSources, wcs: WCS,
    scale: float,
) -> np.ndarray:  # fmt: skip
    """Return the table of the stars, with positions of the used ones from the fit of the PSF."""
    side = built.data.shape[0] // 2
    offset = [(c - side) / built.oversampling for c in centroid(built.data)]
    fitted = {}
    for number, (star, stamp) in enumerate(zip(stamps, built.stars, strict=True)):
        half = stamp.data.shape[0] // 2
        row, column = round(float(sources.y[star])) - half, round(float(sources.x[star])) - half
        residual = float(np.sqrt(np.nanmean(built.residuals[number] ** 2)) / built.data.max() / built.oversampling**2)
        shape = star_shape(replace(stamp, y=stamp.y + offset[0], x=stamp.x + offset[1]), built.fwhm)
        fitted[star] = (
            stamp.y + row + offset[0], stamp.x + column + offset[1], built.weights[number], residual,
            shape.fwhm * scale, shape.ell, shape.pa,
        )  # fmt: skip
    listed = list(states)
    y = np.array([fitted[star][0] if star in fitted else sources.y[star] for star in listed])
    x = np.array([fitted[star][1] if star in fitted else sources.x[star] for star in listed])
    ra, dec = pixel_to_sky(wcs, y, x)
    return _table(
        {"ra": ra, "dec": dec, "x": x + 1.0, "y": y + 1.0, "snr": sources.snr[listed],
         "half_light_radius": sources.radius[listed] * scale,
         "weight": [fitted[star][2] if star in fitted else 0.0 for star in listed],
         **{name: [fitted[star][3 + k] if star in fitted else np.nan for star in listed]
            for k, name in enumerate(("residual", "fwhm", "ell", "pa"))}},
        states,
    )  # fmt: skip


def _table(numbers: Mapping[str, Any], states: Mapping[int, str]) -> np.ndarray:
    names = ("ra", "dec", "x", "y", "snr", "half_light_radius", "weight", "residual", "fwhm", "ell", "pa")
    arrays = {name: np.asarray(numbers.get(name, []), dtype=np.float64) for name in names}
    return columns(**arrays, state=np.array(list(states.values()), dtype="U20"))
