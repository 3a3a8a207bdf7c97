"""Conversions between units. The name of a plain number includes its unit."""

import math

import numpy as np

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian divided by its standard deviation."""

UJY_ZERO_POINT_AB = 23.9
"""AB magnitude of one microjansky, 2.5 log10(3631 Jy / 1 uJy) (Oke & Gunn 1983), rounded as surveys do."""


JY_ZERO_POINT_AB = UJY_ZERO_POINT_AB - 15.0
"""AB magnitude of one jansky."""

STERADIAN_PER_ARCSEC2 = math.radians(1.0 / 3600.0) ** 2
"""Solid angle of a square arcsecond."""

SPEED_OF_LIGHT_ANGSTROM_PER_S = 2.99792458e18
"""Speed of light, exact by the definition of the metre."""


def flux_to_ujy(flux: np.ndarray, zero_point_ab: float) -> np.ndarray:
    """Return a flux in image units, with the AB zero point `zero_point_ab`, in microjanskys."""
    return np.asarray(flux, dtype=float) * 10.0 ** (0.4 * (UJY_ZERO_POINT_AB - zero_point_ab))


def flux_to_mag(flux: np.ndarray, zero_point_ab: float) -> np.ndarray:
    """Return the AB magnitude of a flux in image units; NaN where the flux is not positive."""
    flux = np.asarray(flux, dtype=float)
    magnitude = np.full(flux.shape, np.nan)
    positive = flux > 0
    magnitude[positive] = zero_point_ab - 2.5 * np.log10(flux[positive])
    return magnitude


def zero_point_of_jy(unit_jy: float) -> float:
    """Return the AB magnitude of a flux density of `unit_jy` janskys, which is positive."""
    return JY_ZERO_POINT_AB - 2.5 * math.log10(unit_jy)


def jy_of_flux_per_wavelength(flux: float, pivot_angstrom: float) -> float:
    """Return a flux density per wavelength (erg/s/cm2/Angstrom) in Jy.

    Its frequency form is f_nu = f_lambda lambda^2 / c at the pivot wavelength, by which this is exact for a filter
    (Koornneef et al. 1986, Highlights of Astronomy 7, 833).
    """
    return flux * pivot_angstrom**2 / SPEED_OF_LIGHT_ANGSTROM_PER_S * 1e23


def round_significant(value: float, digits: int) -> float:
    """Return `value` rounded to `digits` significant digits; 0, NaN and infinity are returned unchanged."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
