from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from changing_psf import SHAPE, drawn_psf, image_header, write_psfex, write_spherex, write_stdpsf
from unblend.core.coordinates import pixel_to_sky
from unblend.core.errors import InputError
from unblend.core.field_psf import Everywhere, NearestPoint, PixelGrid
from unblend.field.psf_places import placed_psfs, polygon_places
from unblend.io.images import read_header, read_wcs
from unblend.io.psf_files import Points, PsfFile, read_psf_file
from unblend.io.psf_polygons import read_psf_polygons


@pytest.fixture
def image(tmp_path):
    """Return a function that writes the image with further cards and returns WCS, shape and header."""

    def write(**cards):
        header = image_header()
        header.update(cards)
        fits.writeto(tmp_path / "image.fits", np.zeros(SHAPE), header, overwrite=True)
        name = f"{tmp_path}/image.fits"
        return read_wcs(name), SHAPE, read_header(name)

    return write


def two_points(frame, values):
    return PsfFile(np.ones((2, 3, 3)), ("a", "b"), Points(frame, np.array(values)), {})


def test_one_psf_holds_everywhere(image):
    file = PsfFile(np.ones((1, 3, 3)), ("a",), None, {})
    assert isinstance(placed_psfs(file, *image())[2], Everywhere)


def test_points_in_pixels_and_on_the_sky(image):
    wcs, shape, header = image()
    _, _, places = placed_psfs(two_points("pixel", [[11.0, 21.0], [111.0, 51.0]]), wcs, shape, header)
    assert isinstance(places, NearestPoint)
    np.testing.assert_allclose(places.points, [[20.0, 10.0], [50.0, 110.0]])
    ra, dec = pixel_to_sky(wcs, *np.array(places.points).T)
    _, _, on_sky = placed_psfs(two_points("sky", np.column_stack([ra, dec])), wcs, shape, header)
    np.testing.assert_allclose(on_sky.points, places.points, atol=1e-6)


def test_points_are_those_of_the_image_from_which_a_cutout_was_taken(image):
    cutout = image(LTV1=-1000.0, LTV2=-2000.0)
    _, _, places = placed_psfs(two_points("pixel", [[1011.0, 2021.0], [1111.0, 2051.0]]), *cutout)
    np.testing.assert_allclose(places.points, [[20.0, 10.0], [50.0, 110.0]])


def test_a_cutout_of_a_spherex_image(tmp_path, image):
    centres = write_spherex(tmp_path / "sx.fits", "6.5.6")
    # as in IRSA's recipe: x_original = 1 + x_cutout − CRPIX1A
    cutout = image(CRPIX1A=-39.0, CRPIX2A=-19.0)
    _, _, places = placed_psfs(read_psf_file(f"{tmp_path}/sx.fits[PSF]"), *cutout)
    np.testing.assert_allclose(places.points, centres - [20.0, 40.0])


def test_a_grid_of_pixels(tmp_path, image):
    write_stdpsf(tmp_path / "psf.fits", [0.0, 50.0], [0.0, 199.0])
    file = read_psf_file(f"{tmp_path}/psf.fits")
    images, names, places = placed_psfs(file, *image())
    assert isinstance(places, PixelGrid) and len(images) == len(names) == 4
    assert (places.y.tolist(), places.x.tolist()) == ([0.0, 50.0], [0.0, 199.0])
    _, _, cut = placed_psfs(file, *image(LTV1=-10.0, LTV2=-20.0))
    assert (cut.y.tolist(), cut.x.tolist()) == ([-20.0, 30.0], [-10.0, 189.0])
    with pytest.raises(InputError, match="the image is rotated or scaled relative to them"):
        placed_psfs(file, *image(LTM1_1=0.5, LTM2_2=0.5))


def test_a_polynomial_becomes_a_grid(tmp_path, image):
    write_psfex(tmp_path / "k.psf", 3)
    images, names, places = placed_psfs(read_psf_file(f"{tmp_path}/k.psf"), *image())
    assert isinstance(places, PixelGrid) and names[0] == f"{tmp_path}/k.psf at x=1 y=1"
    for y, x in ((0.0, 0.0), (60.0, 100.0), (33.0, 170.0)):
        found = sum(weight * images[k] for k, weight in places.weights(y, x))
        # a polynomial of the third degree describes the PSF to 3e-3 of its light
        assert 0.5 * np.abs(found - drawn_psf(y, x)).sum() < 5e-3


def test_polygons_on_the_sky_and_in_pixels_are_the_same(tmp_path, image):
    wcs, shape, _ = image()
    corners = np.array([[10.0, 20.0], [10.0, 60.0], [80.0, 60.0]])
    ra, dec = pixel_to_sky(wcs, *corners.T)
    ring = [[float(a), float(d)] for a, d in zip(ra, dec, strict=True)]
    feature = {"properties": {"psf_key": 3}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "p.geojson").write_text(json.dumps({"features": [feature]}))
    sky = ",".join(f"{a:.9f},{d:.9f}" for a, d in ring)
    pixels = ",".join(f"{x + 1},{y + 1}" for y, x in corners)
    (tmp_path / "p.reg").write_text(f"icrs\npolygon({sky}) # text={{4}}\n")
    (tmp_path / "q.reg").write_text(f"image\npolygon({pixels}) # text={{4}}\n")
    for name in ("p.geojson", "p.reg", "q.reg"):
        places, used = polygon_places(read_psf_polygons(str(tmp_path / name), tuple("123456")), wcs, shape)
        assert used == [3] and places.owners.tolist() == [0]
        np.testing.assert_allclose(places.starts, corners, atol=1e-4)


def test_polygons_far_beyond_a_distorted_image(image):
    from unblend.core.types import Region
    from unblend.io.psf_polygons import PsfPolygon

    sip = {
        "CTYPE1": "RA---TAN-SIP",
        "CTYPE2": "DEC--TAN-SIP",
        "A_ORDER": 3,
        "B_ORDER": 3,
        "A_3_0": 1e-6,
        "B_0_3": -1e-6,
    }
    wcs, shape, _ = image(**sip)
    line = Region("polygon", "icrs", ((52.0, -28.5), (54.0, -28.5), (54.0, -27.0), (52.0, -27.0)))
    places, _ = polygon_places([PsfPolygon(0, 0, line)], wcs, shape)
    assert np.isfinite(places.starts).all()
    assert places.distance(60.0, 100.0) == 0.0
