from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from unblend.core.errors import InputError
from unblend.field.dust_map import reddening


def half_of_sfd(path, south):
    """Write a map in the projection of the SFD maps, E(B-V) = 1 - |b| / 100 degrees, and 1 more in the south."""
    side, scale = 256, 90.0 / 128
    header = fits.Header({
        "CTYPE1": "GLON-ZEA", "CTYPE2": "GLAT-ZEA", "CRPIX1": 128.5, "CRPIX2": 128.5, "CRVAL1": 0.0,
        "CRVAL2": -90.0 if south else 90.0, "LONPOLE": 180.0, "CDELT1": -scale, "CDELT2": scale,
    })  # fmt: skip
    rows, columns = np.indices((side, side)) - 127.5
    radius = np.deg2rad(np.hypot(rows, columns) * scale) / 2.0
    distance = 2.0 * np.rad2deg(np.arcsin(np.minimum(radius, 1.0)))
    fits.writeto(path, ((1.0 + south) - (90.0 - distance) / 100.0).astype("f4"), header)


def test_the_two_halves_of_the_galaxy(tmp_path):
    files = [str(tmp_path / f"SFD_dust_4096_{half}gp.fits") for half in "ns"]
    half_of_sfd(files[0], south=False)
    half_of_sfd(files[1], south=True)
    latitude = np.array([62.0, -54.5, 35.0])
    sky = SkyCoord(l=[120.0, 223.0, 10.0], b=latitude, unit="deg", frame="galactic").icrs
    found = reddening(files, sky.ra.deg, sky.dec.deg)
    assert found == pytest.approx(1.0 - np.abs(latitude) / 100.0 + np.array([0.0, 1.0, 0.0]), abs=1e-3)


def cutout(path):
    header = fits.Header({
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 3.0, "CRPIX2": 2.0, "CRVAL1": 53.0, "CRVAL2": -27.8,
        "CD1_1": -0.04, "CD2_2": 0.04, "CD1_2": 0.0, "CD2_1": 0.0,
    })  # fmt: skip
    fits.writeto(path, np.arange(12.0).reshape(3, 4) / 100.0, header)
    return [str(path)]


def test_an_image_of_the_field_is_interpolated(tmp_path):
    files = cutout(tmp_path / "dust.fits")
    # the pixel (1, 2), and a quarter of a pixel north of it
    found = reddening(files, np.array([53.0, 53.0]), np.array([-27.8, -27.79]))
    assert found == pytest.approx([0.06, 0.07], abs=1e-5)


def test_a_source_off_the_map_is_an_error(tmp_path):
    files = cutout(tmp_path / "dust.fits")
    with pytest.raises(InputError, match=r"dust\.fits has no value at the source at ra = 60\.00000"):
        reddening(files, np.array([53.0, 60.0]), np.array([-27.8, -27.8]))
