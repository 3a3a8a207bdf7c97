"""The PSF of a drawn band: its components, and how they change over the image."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PsfComponent:
    """One component of a PSF.

    Parameters
    ----------
    fraction : float
        Fraction of the light.
    fwhm_arcsec : float
        Along the long axis.
    beta : float or None
        Exponent of a Moffat profile; None for a Gaussian.
    q, pa_deg : float
        Axis ratio, and position angle from north to east.
    east_arcsec, north_arcsec : float
        Offset of the centre.
    """

    fraction: float
    fwhm_arcsec: float
    beta: float | None = None
    q: float = 1.0
    pa_deg: float = 0.0
    east_arcsec: float = 0.0
    north_arcsec: float = 0.0


@dataclass(frozen=True)
class PsfChange:
    """How the PSF of a band changes over its image: wider from left to right, its long axis turning from bottom to top.

    Parameters
    ----------
    fwhm : float
        Difference of the FWHM between the right and the left edge, relative to the middle.
    q : float
        Axis ratio of every component.
    turn_deg : float
        Difference of the position angle between the top and the bottom edge.
    """

    fwhm: float = 0.15
    q: float = 0.9
    turn_deg: float = 90.0


def changed_psf(
    components: tuple[PsfComponent, ...], change: PsfChange, up: float, right: float
) -> tuple[PsfComponent, ...]:
    """Return the components of a PSF at a place.

    Parameters
    ----------
    components : tuple of PsfComponent
        In the middle of the image.
    change : PsfChange
    up, right : float
        Position between the bottom and the top, and the left and the right edge, from 0 to 1; outside the image the PSF
        is that of its edge.
    """
    up, right = (min(max(at, 0.0), 1.0) - 0.5 for at in (up, right))
    width = 1.0 + change.fwhm * right
    return tuple(
        replace(c, fwhm_arcsec=c.fwhm_arcsec * width, q=change.q, pa_deg=c.pa_deg + change.turn_deg * up)
        for c in components
    )
