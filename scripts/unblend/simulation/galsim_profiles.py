"""GalSim profiles of simulated sources and PSFs.

The world axes of GalSim are u = west and v = north, in arcsec on the tangent plane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import coordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs import WCS

    from .fields import BandSpec, PsfComponent
    from .population import Part, SimulatedSource


def galsim_psf(components: Sequence[PsfComponent]) -> Any:
    """Return the optical PSF as a GalSim profile of unit flux."""
    import galsim

    parts = []
    for c in components:
        # a shear preserves the area: the round profile has the mean radius sqrt(a b)
        fwhm = c.fwhm_arcsec * np.sqrt(c.q)
        if c.beta is None:
            part = galsim.Gaussian(fwhm=fwhm, flux=c.fraction)
        else:
            part = galsim.Moffat(beta=c.beta, fwhm=fwhm, flux=c.fraction)
        parts.append(_turned(part, c.q, c.pa_deg).shift(-c.east_arcsec, c.north_arcsec))
    return galsim.Add(parts) if len(parts) > 1 else parts[0]


def galsim_measured_psf(spec: BandSpec, native: Any) -> Any:
    """Return the measured PSF of a band, including the pixel response, as a GalSim profile of unit flux.

    `native` is the local GalSim WCS of the band's image.
    """
    import galsim

    data = np.asarray(spec.measured_psf, dtype=float)
    fine = galsim.JacobianWCS(*(native.getMatrix().ravel() / spec.psf_oversampling))
    offset = galsim.PositionD(0.0, 0.0)
    if spec.measured_centre is not None:
        middle = [(side - 1) / 2.0 for side in data.shape]
        offset = galsim.PositionD(spec.measured_centre[1] - middle[1], spec.measured_centre[0] - middle[0])
    return galsim.InterpolatedImage(galsim.Image(data), wcs=fine, offset=offset, flux=1.0, gsparams=gsparams())


def galsim_source(source: SimulatedSource, band: str | None = None) -> Any:
    """Return a source without PSF as a GalSim profile of unit flux; the fractions of its parts are those of a band."""
    import galsim

    if source.is_star:
        return galsim.DeltaFunction()
    body = _sersic(source)
    if not source.parts:
        return body
    shares = [part.share(band) for part in source.parts]
    parts = [
        _sersic(part).withFlux(share).shift(-part.east_arcsec, part.north_arcsec)
        for part, share in zip(source.parts, shares, strict=True)
    ]
    return galsim.Add([body.withFlux(1.0 - sum(shares)), *parts])


def _sersic(shape: SimulatedSource | Part) -> Any:
    """Return a Sersic profile of unit flux."""
    import galsim

    # sqrt(a b), as in the PSF
    radius = shape.r_e_arcsec * np.sqrt(shape.q)
    return _turned(galsim.Sersic(shape.n, half_light_radius=radius), shape.q, shape.pa_deg)


def gsparams() -> Any:
    """Return accuracy settings: totals are good to 1e-5, pixels to 1e-3 of the peak (undersampled star) or better."""
    import galsim

    return galsim.GSParams(folding_threshold=1e-3, maxk_threshold=1e-4, maximum_fft_size=16384)


def _turned(profile: Any, q: float, pa_deg: float) -> Any:
    """Return a round profile sheared to axis ratio q, with its long axis at a position angle from north to east."""
    import galsim

    if q == 1.0:
        return profile
    # beta is counter-clockwise from u (west); east is −u, so that north to east is counter-clockwise from v
    return profile.shear(q=q, beta=(pa_deg + 90.0) * galsim.degrees)


def local_wcs(wcs: WCS, y: float, x: float) -> Any:
    """Return the linear GalSim WCS from (x, y) in pixels to (west, north) in arcsec at a pixel position.

    Parameters
    ----------
    wcs : WCS
    y, x : float
        0-based.
    """
    import galsim

    (east_y, east_x), (north_y, north_x) = coordinates.sky_jacobian(wcs, y, x)
    return galsim.JacobianWCS(-east_x, -east_y, north_x, north_y)
