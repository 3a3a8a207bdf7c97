"""PSFs that cannot be used are found before any job starts; `./unblend check` describes the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from changing_psf import SHAPE, drawn_grid, drawn_psf, image_header, write_stdpsf
from unblend.core.errors import InputError
from unblend.plan.checks import check_inputs, jobs_of
from unblend.plan.config import load_config
from unblend.plan.psf_checks import bad_psfs, described_psfs

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
MAP = {"file": "cube.fits", "polygons": "map.geojson"}


def describe_psfs(found):
    return [line for line, _ in described_psfs(found).values()]


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Return a function that returns the jobs of a field with the given PSF of its second band."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "k"):
        fits.writeto(tmp_path / f"{name}.fits", np.ones(SHAPE), image_header())
    fits.writeto(tmp_path / "psf.fits", drawn_psf(0, 0))
    fits.writeto(tmp_path / "cube.fits", drawn_grid([0.0], [0.0, 199.0]))
    write_polygons(tmp_path, 0, 1)

    def made(psf, **band):
        return jobs_of(
            load_config(
                {
                    "target": {"ra": 53.0, "dec": -27.8},
                    "detection": {"bands": ["a"]},
                    "models": {"psf": "a"},
                    "band_defaults": {"psf_oversampling": 2},
                    "bands": {
                        "a": {"image": "a.fits", "psf": "psf.fits"},
                        "k": {"image": "k.fits", "psf": psf, **band},
                    },
                }
            ),
            SCRIPTS,
        )

    return made


def test_an_image_without_stars_is_named_once(jobs):
    with pytest.raises(InputError) as failed:
        described_psfs(jobs({"stars": "auto"}, psf_oversampling=1))
    assert str(failed.value).count("bands.k.psf: ") == 1 and "0 stars of k.fits can be used" in str(failed.value)


def write_polygons(folder, *keys):
    ring = [[53.0, -27.8], [53.1, -27.8], [53.1, -27.7]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    features = [{"properties": {"psf_key": key}, "geometry": geometry} for key in keys]
    (folder / "map.geojson").write_text(json.dumps({"features": features}))


def test_good_psfs_pass_and_are_described(jobs):
    found = jobs(MAP)
    check_inputs(found)
    first, second = describe_psfs(found)
    assert first.startswith("bands.a.psf: FWHM of the PSF 0.292 arcsec")
    assert second.startswith("bands.k.psf: 2 PSFs, FWHM 0.292–0.334 arcsec") and "oversampling 2)" in second


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        ("cube.fits", "bands.k.psf: cube.fits has 2 planes of 41 x 41 pixels, and nothing says where"),
        ({"file": "cube.fits", "polygons": "psf.fits"}, "bands.k.psf: psf.fits"),
        ({"file": "cube.fits", "polygons": "no.geojson"}, "bands.k.psf.polygons: no.geojson does not exist"),
        ("no.fits", "bands.k.psf: no.fits does not exist"),
        (
            {"file": "psf.fits", "polygons": "map.geojson"},
            "has psf_key = 1; expected the index of one of the 1",
        ),
    ],
)
def test_bad_files_are_found_before_any_job(jobs, psf, message):
    with pytest.raises(InputError, match="the input files have mistakes") as error:
        check_inputs(jobs(psf))
    assert message in str(error.value)


def test_an_edit_of_the_polygons_or_of_one_psf_is_checked_again(jobs, tmp_path):
    assert not list(bad_psfs(jobs(MAP)))
    write_polygons(tmp_path, 0, 5)
    (mistake,) = bad_psfs(jobs(MAP))
    assert "bands.k.psf: map.geojson: feature 2 has psf_key = 5" in mistake


def test_psfs_that_cannot_be_used_are_listed(jobs, tmp_path):
    images = drawn_grid([0.0], [0.0, 199.0])
    images[1, 3, 3] = np.nan
    fits.writeto(tmp_path / "cube.fits", images, overwrite=True)
    with pytest.raises(InputError, match=r"bands.k.psf: cube.fits\[\*,\*,2\] has 1 of 1681 pixels that are not finite"):
        describe_psfs(jobs(MAP))


def test_a_format_with_its_own_sampling(jobs, tmp_path):
    write_stdpsf(tmp_path / "std.fits", [0.0, 119.0], [0.0, 199.0])
    with pytest.raises(InputError, match=r"bands.k.psf: std.fits has 4 PSF pixels per image pixel by its format"):
        describe_psfs(jobs("std.fits"))
    assert "4 PSFs" in describe_psfs(jobs("std.fits", psf_oversampling=4))[1]


def test_files_of_stars_are_checked(jobs, tmp_path):
    stars = {"stars": "stars.csv"}
    with pytest.raises(InputError, match=r"bands.k.psf.stars: .*stars.csv does not exist"):
        check_inputs(jobs(stars, psf_oversampling=1))
    (tmp_path / "stars.csv").write_text("ra,dec\n")
    (mistake,) = bad_psfs(jobs(stars, psf_oversampling=1))
    assert "bands.k.psf.stars: " in mistake and "has no rows" in mistake
    (tmp_path / "stars.csv").write_text("ra,dec\n53.0,-27.8\n")
    found = jobs(stars, psf_oversampling=1)
    check_inputs(found)
    # building it reads the image: an image without stars is found by ./unblend check, and not by every plan
    with pytest.raises(InputError, match=r"bands.k.psf: 0 stars of .* can be used"):
        describe_psfs(found)
