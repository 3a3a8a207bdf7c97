"""Galactic extinction of a band for a reddening E(B-V)."""

from __future__ import annotations

FIRST_UM, LAST_UM, LONGEST_UM = 0.12, 3.2, 30.0
"""Wavelengths between which all laws are known, and up to which that of Gordon et al. (2023) is."""


def extinction_per_reddening(wavelength_um: float, law: str, r_v: float) -> float | None:
    """Return A(λ) / E(B-V) in magnitudes at a wavelength; None where no law is known.

    Parameters
    ----------
    wavelength_um : float
        Micrometres.
    law : str
        Name of a class of `dust_extinction.parameter_averages`: F99, F19, CCM89, O94 or G23.
    r_v : float
        A(V) / E(B-V).
    """
    import astropy.units as u
    from dust_extinction import parameter_averages

    if not FIRST_UM <= wavelength_um <= LONGEST_UM:
        return None
    model = getattr(parameter_averages, law if wavelength_um <= LAST_UM else "G23")(Rv=r_v)
    return float(model(wavelength_um * u.micron)) * r_v
