from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from unblend.core.coordinates import sky_to_pixel
from unblend.core.errors import InputError
from unblend.core.types import Model
from unblend.io.images import read_header, read_wcs
from unblend.io.models import read_model, read_model_outline, write_model
from unblend.models.rendering import sersic_model

DATA = np.arange(12.0).reshape(3, 4)


def tan_header(**changes):
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 2.0, "CRPIX2": 1.5}
    scale = 0.1 / 3600.0
    cards |= {"CD1_1": -scale, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale}
    return fits.Header({**cards, **changes})


@pytest.mark.parametrize("integrated", [True, False])
def test_model_round_trip(tmp_path, integrated):
    to_sky = np.array([[0.001, -0.012], [0.012, 0.002]])
    model = Model(DATA, (1.0, 2.0), (53.1, -27.8), to_sky, 80.0, integrated)
    write_model(tmp_path / "1.fits", model, {"FLAG": 3})
    again = read_model(tmp_path / "1.fits")
    np.testing.assert_array_equal(again.data, model.data)
    np.testing.assert_allclose(again.pixel_to_sky, to_sky, rtol=1e-12)
    assert (again.centre, again.sky, again.total, again.pixel_integrated) == (
        (1.0, 2.0),
        (53.1, -27.8),
        80.0,
        integrated,
    )
    assert read_header(str(tmp_path / "1.fits"))["HELD"] == pytest.approx(66.0 / 80.0)


def test_a_detail_is_written_and_read_with_its_model(tmp_path):
    to_sky = np.array([[0.0, -0.012], [0.012, 0.0]])
    detail = Model(DATA - 5.0, (1.0, 1.0), (53.1001, -27.8), 5.0 * to_sky, 6.0, noise=1.5)
    folder = tmp_path / "ü[1] (a)"
    folder.mkdir()
    write_model(folder / "1.fits", Model(DATA, (1.0, 2.0), (53.1, -27.8), to_sky, 80.0, detail=detail), {"FLAG": 3})
    again = read_model(folder / "1.fits")
    assert again.detail is not None and again.flux == 86.0
    np.testing.assert_array_equal(again.detail.data, detail.data)
    np.testing.assert_allclose(again.detail.pixel_to_sky, detail.pixel_to_sky, rtol=1e-12)
    assert (again.detail.centre, again.detail.sky, again.detail.total, again.detail.noise) == (
        (1.0, 1.0),
        (53.1001, -27.8),
        6.0,
        1.5,
    )
    assert not again.detail.free


def test_free_components_are_written_and_read(tmp_path):
    to_sky = np.array([[0.0, -0.012], [0.012, 0.0]])
    others = Model(DATA, (1.0, 2.0), (53.1, -27.8), to_sky, 66.0, free=True)
    write_model(tmp_path / "1.fits", Model(DATA, (1.0, 2.0), (53.1, -27.8), to_sky, 80.0, detail=others))
    again = read_model(tmp_path / "1.fits")
    assert again.detail is not None and again.detail.free and again.flux == 146.0


def test_the_wcs_of_a_model_agrees_with_its_jacobian(tmp_path):
    to_sky = np.array([[0.001, -0.012], [0.012, 0.002]])
    write_model(tmp_path / "1.fits", Model(DATA, (1.0, 2.0), (53.1, -27.8), to_sky, 66.0))
    y, x = sky_to_pixel(read_wcs(str(tmp_path / "1.fits")), 53.1, -27.8)
    # world coordinates in degrees have 1e-14 of a turn: 1e-9 pixel
    assert (y[0], x[0]) == pytest.approx((1.0, 2.0), abs=1e-7)


def test_a_users_model(tmp_path):
    data = np.zeros((9, 9))
    data[6, 2] = 4.0
    header = tan_header(CRPIX1=500.0, CRPIX2=-300.0)
    fits.PrimaryHDU(data, header).writeto(tmp_path / "user.fits")
    model = read_model(tmp_path / "user.fits")
    # the reference position is the pixel where the light is; east is left, north is up
    assert model.centre == (6.0, 2.0) and model.total == 4.0 and model.pixel_integrated
    # 1e-4: the tangent plane turns by an arcsecond and stretches by 1e-8 a minute from its centre
    np.testing.assert_allclose(model.pixel_to_sky, [[0.0, -0.1], [0.1, 0.0]], atol=1e-4)
    wcs = WCS(header)
    assert model.sky == pytest.approx([float(v) for v in wcs.all_pix2world(2.0, 6.0, 0)], abs=1e-10)


def test_a_users_point_model(tmp_path):
    hdu = fits.PrimaryHDU(np.ones((1, 1)), tan_header())
    hdu.header["PIXINT"] = False
    hdu.writeto(tmp_path / "user.fits")
    assert read_model(tmp_path / "user.fits").pixel_integrated is False


def test_bad_models(tmp_path):
    data = DATA.copy()
    data[0, :2] = np.nan
    for name, pixels, header in (
        ("nan", data, tan_header()),
        ("zero", 0 * DATA, tan_header()),
        ("blind", DATA, fits.Header()),
    ):
        fits.PrimaryHDU(pixels, header).writeto(tmp_path / f"{name}.fits")
    with pytest.raises(InputError, match=r"nan.fits has 2 pixels that are not finite. Set them to 0"):
        read_model(tmp_path / "nan.fits")
    with pytest.raises(InputError, match=r"zero.fits have the sum 0; the sum of a model must be positive"):
        read_model(tmp_path / "zero.fits")
    with pytest.raises(InputError, match=r"blind.fits has no celestial WCS"):
        read_model(tmp_path / "blind.fits")


@pytest.mark.parametrize("detailed", [True, False])
def test_the_outline_of_a_model_is_the_model_without_its_pixels(tmp_path, detailed):
    to_sky = np.array([[0.001, -0.012], [0.012, 0.002]])
    detail = Model(DATA - 5.0, (1.0, 2.0), (53.1, -27.8), to_sky, 6.0, noise=0.7) if detailed else None
    write_model(tmp_path / "1.fits", Model(DATA, (1.0, 2.0), (53.1, -27.8), to_sky, 80.0, detail=detail))
    whole, outline = read_model(tmp_path / "1.fits"), read_model_outline(tmp_path / "1.fits")
    for name in ("sky", "total", "flux", "detail_noise"):
        assert getattr(outline, name) == getattr(whole, name)
    assert (outline.flux, outline.detail_noise) == ((86.0, 0.7) if detailed else (80.0, 0.0))
    np.testing.assert_array_equal(outline.pixel_to_sky, whole.pixel_to_sky)


def test_the_outline_of_a_users_model_has_the_sum_of_its_pixels(tmp_path):
    fits.writeto(tmp_path / "2.fits", DATA, tan_header())
    whole, outline = read_model(tmp_path / "2.fits"), read_model_outline(tmp_path / "2.fits")
    assert outline.flux == outline.total == DATA.sum() and outline.sky == whole.sky
    fits.writeto(tmp_path / "3.fits", -DATA, tan_header())
    with pytest.raises(InputError, match="must be positive"):
        read_model_outline(tmp_path / "3.fits")


def test_the_shape_of_a_profile_belongs_to_its_pixels(tmp_path):
    """A model that a user has edited is no longer the profile that its header describes."""
    model = sersic_model(
        n=2.5, r_e=1.3, ell=0.3, pa=40.0, flux=7.0, sky=(150.0, 2.0), pixel_to_sky=0.06 * np.eye(2), oversampling=3
    )
    path = tmp_path / "1.fits"
    write_model(path, model)
    shape = read_model(path).shape
    assert shape is not None and [*vars(shape).values()] == pytest.approx([2.5, 3.9, 0.3, 40.0], rel=1e-12)
    with fits.open(path, mode="update") as file:
        file[0].data[3, 3] *= 1.5
    assert read_model(path).shape is None
    write_model(path, replace(model, shape=None))
    assert read_model(path).shape is None
