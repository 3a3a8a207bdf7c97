"""Templates of a band whose PSF changes: each source has the PSF of its own place."""

from __future__ import annotations

import galsim
import numpy as np
import pytest
from changing_psf import SHAPE, drawn_psf, image_header
from unblend.core.coordinates import pixel_to_sky
from unblend.core.field_psf import FieldPsf, NearestPoint, PixelGrid
from unblend.core.types import Model, Psf
from unblend.io.world_coordinates import wcs_from_header
from unblend.models.templates import TemplateEngine

SCALE = 0.1
WCS = wcs_from_header(dict(image_header(SCALE)), "image", shape=SHAPE)
NODES = np.linspace(0.0, 119.0, 9), np.linspace(0.0, 199.0, 9)


def grid_psf():
    psfs = tuple(Psf(drawn_psf(y, x), (20.0, 20.0), 2.0) for y in NODES[0] for x in NODES[1])
    return FieldPsf(psfs, PixelGrid(*NODES))


def galaxy(y, x, *, r_e=0.25, oversampling=5):
    """Return an exponential disc at a pixel position of the band, on pixels of a fifth of those of the band."""
    (ra,), (dec,) = pixel_to_sky(WCS, np.array([float(y)]), np.array([float(x)]))
    step = SCALE / oversampling
    image = galsim.Exponential(half_light_radius=r_e).drawImage(nx=101, ny=101, scale=step, method="auto").array
    return Model(image.astype(float), (50.0, 50.0), (float(ra), float(dec)), np.array([[0.0, -step], [step, 0.0]]), 1.0)


def point(y, x):
    (ra,), (dec,) = pixel_to_sky(WCS, np.array([float(y)]), np.array([float(x)]))
    return Model(np.ones((1, 1)), (0.0, 0.0), (float(ra), float(dec)), np.eye(2), 1.0, pixel_integrated=False)


@pytest.mark.parametrize("place", [(20.0, 30.0), (61.0, 99.0), (101.0, 170.0), (44.0, 111.0)])
def test_a_star_looks_as_the_psf_of_its_place(place):
    engine = TemplateEngine(WCS, SHAPE, grid_psf())
    template = engine.template(1, point(*place))
    # a star in the middle of a pixel is every second pixel of the PSF
    truth = np.zeros(SHAPE)
    y, x = (int(c) for c in place)
    native = 4.0 * drawn_psf(*place)[::2, ::2]
    truth[y - 10 : y + 11, x - 10 : x + 11] = native
    found = np.zeros(SHAPE)
    found[template.box.slices] = template.data
    assert np.abs(found - truth).max() < 2e-3 * native.max()
    one = TemplateEngine(WCS, SHAPE, Psf(drawn_psf(60, 100), (20.0, 20.0), 2.0)).template(1, point(*place))
    error = np.abs(one.data - truth[one.box.slices]).max()
    assert error > 10e-3 * native.max() or place == (61.0, 99.0)


def test_a_map_of_equal_psfs_gives_the_templates_of_one():
    one = Psf(drawn_psf(60, 100), (20.0, 20.0), 2.0)
    several = FieldPsf((one,) * 4, PixelGrid(np.array([0.0, 119.0]), np.array([0.0, 199.0])))
    for place in ((20.3, 30.8), (90.0, 198.9)):
        expected = TemplateEngine(WCS, SHAPE, one).template(1, galaxy(*place))
        found = TemplateEngine(WCS, SHAPE, several).template(1, galaxy(*place))
        assert found.box == expected.box
        np.testing.assert_allclose(found.data, expected.data, atol=1e-12)


def test_a_source_has_the_psf_of_the_nearest_point():
    sharp, broad = Psf(drawn_psf(0, 0), (20.0, 20.0), 2.0), Psf(drawn_psf(0, 199), (20.0, 20.0), 2.0)
    engine = TemplateEngine(WCS, SHAPE, FieldPsf((sharp, broad), NearestPoint(np.array([[60.0, 0.0], [60.0, 199.0]]))))
    for psf, x in ((sharp, 90.3), (broad, 110.3)):
        expected = TemplateEngine(WCS, SHAPE, psf).template(1, galaxy(60.0, x))
        np.testing.assert_array_equal(engine.template(1, galaxy(60.0, x)).data, expected.data)


def test_the_psf_is_that_of_the_place_without_the_shift_of_the_band_too():
    engine = TemplateEngine(WCS, SHAPE, grid_psf(), (0.2, -0.1))
    y, x = engine.position(galaxy(60.0, 100.0))
    assert (y, x) == pytest.approx((59.0, 102.0), abs=1e-6)
    assert engine.psf_weights(galaxy(60.0, 100.0)) == engine.psf.places.weights(y, x)


def test_the_order_of_places_brings_those_of_one_psf_together():
    sharp, broad = Psf(drawn_psf(0, 0), (20.0, 20.0), 2.0), Psf(drawn_psf(0, 199), (20.0, 20.0), 2.0)
    places = NearestPoint(np.array([[60.0, 0.0], [60.0, 199.0]]))
    engine = TemplateEngine(WCS, SHAPE, FieldPsf((sharp, broad), places))
    ra, dec = pixel_to_sky(WCS, np.full(5, 60.0), np.array([150.0, 10.0, 180.0, 50.0, 120.0]))
    assert engine.psf_order(ra, dec).tolist() == [1, 3, 0, 2, 4]
    assert TemplateEngine(WCS, SHAPE, sharp).psf_order(ra, dec).tolist() == [0, 1, 2, 3, 4]
    assert engine.psf_order(np.zeros(0), np.zeros(0)).size == 0
