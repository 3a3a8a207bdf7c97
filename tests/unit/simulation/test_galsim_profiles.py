from __future__ import annotations

import numpy as np
import pytest
from unblend.simulation.fields import BandSpec, PsfComponent, band_wcs
from unblend.simulation.galsim_profiles import galsim_psf, galsim_source, local_wcs
from unblend.simulation.population import Part, SimulatedSource

CENTRE = (53.0873, -27.84)


def drawn(profile, scale=0.05, side=161):
    """Return a profile drawn on pixels along (east, north), in which x increases to the west."""
    return profile.drawImage(nx=side, ny=side, scale=scale, method="no_pixel").array


def centroid_arcsec(image, scale=0.05):
    """Return the centroid (east, north) of an image of `drawn`."""
    y, x = np.indices(image.shape) - (len(image) - 1) / 2
    return -scale * (image * x).sum() / image.sum(), scale * (image * y).sum() / image.sum()


def test_a_psf_has_unit_flux_and_offsets_to_the_east_and_north():
    psf = galsim_psf((PsfComponent(0.7, 0.5), PsfComponent(0.3, 0.5, east_arcsec=1.0, north_arcsec=-0.5)))
    assert psf.flux == pytest.approx(1.0)
    assert centroid_arcsec(drawn(psf)) == pytest.approx((0.3, -0.15), abs=0.002)


def test_a_position_angle_of_90_degrees_is_to_the_east():
    image = drawn(galsim_psf((PsfComponent(1.0, 1.0, q=0.5, pa_deg=90.0),)))
    middle = len(image) // 2
    # the FWHM is 20 pixels along x and 10 along y
    assert image[middle, middle + 10] == pytest.approx(0.5 * image.max(), rel=0.01)
    assert image[middle + 5, middle] == pytest.approx(0.5 * image.max(), rel=0.01)


def test_a_source_with_parts_has_unit_flux():
    parts = (Part(0.5, 0.0, 0.1, 0.2),)
    source = SimulatedSource(*CENTRE, n=1.0, r_e_arcsec=0.3, parts=parts)
    assert galsim_source(source).flux == pytest.approx(1.0)
    assert galsim_source(SimulatedSource(*CENTRE)).flux == 1.0


def test_parts_have_a_share_and_a_shape_of_their_own_in_each_band():
    parts = (Part(2.0, 0.0, 0.4, 0.2, q=0.4, pa_deg=90.0, fraction_in={"k": 0.5}),)
    source = SimulatedSource(*CENTRE, n=1.0, r_e_arcsec=0.2, parts=parts)
    for band, share in ((None, 0.2), ("j", 0.2), ("k", 0.5)):
        image = drawn(galsim_source(source, band))
        assert centroid_arcsec(image)[0] == pytest.approx(2.0 * share, abs=0.01)
    part = image[60:101, 20:61]  # 2" to the east is 40 pixels to the left
    y, x = np.indices(part.shape) - 20.0
    assert (part * x**2).sum() > 2.0 * (part * y**2).sum()  # long from east to west


def test_the_local_wcs_of_a_band_with_north_up():
    spec = BandSpec("k", 2.2, 0.2, (41, 41), (PsfComponent(1.0, 0.5),))
    matrix = local_wcs(band_wcs(spec, CENTRE), 20.0, 20.0).getMatrix()
    # x increases to the west, y to the north
    np.testing.assert_allclose(matrix, [[0.2, 0.0], [0.0, 0.2]], atol=1e-6)
