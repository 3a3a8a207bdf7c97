"""Tolerances and thresholds of the fits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """Tolerances and thresholds of the fits, with their reasons.

    Parameters
    ----------
    ftol_first, ftol : float
        Relative tolerance in the first and second pass. Starting with 1e-4 loses no accuracy, and 1e-8 in IMFIT's
        second pass is no improvement over 1e-6.
    poor_chi2 : float
        Reduced chi2 over a source's segment above which the model is flagged as a poor fit.
    uncertain_n : float
        σ_n/n above which the shape is flagged as uncertain.
    unresolved_r_e : float
        Half-light radius in pixels below which a point source is tried.
    point_snr : float
        Minimum signal-to-noise ratio in the segment for trying a point source. A fainter small galaxy may have a lower
        chi2 as a point source by chance (in the example one of S/N 14 and r_e = 1.3 pixels lost a fifth of its flux).
    faint_snr : float
        Signal-to-noise ratio in the segment below which an uncertain index is replaced by the most probable one
        (`index_prior`).
    refine : {"exact", "none"}
        Whether the result is the minimum of chi2 of the exact model, with IMFIT's fit beside it, or IMFIT's fit.
    imfit : bool
        Whether IMFIT's fit is made beside the exact one. It is half of the time, and serves IMFIT's files alone.
    components : {"auto", "single"}
        Whether galaxies are fitted as bulge and disc where these describe them better (`bulge_disc`).
    """

    ftol_first: float = 1e-4
    ftol: float = 1e-6
    poor_chi2: float = 1.35
    uncertain_n: float = 0.5
    unresolved_r_e: float = 1.0
    point_snr: float = 30.0
    faint_snr: float = 20.0
    refine: str = "exact"
    imfit: bool = True
    components: str = "auto"


DEFAULTS = FitSettings()
