"""PSFs in the formats of other programs, against those programs where they can be had."""

from __future__ import annotations

import galsim.des
import numpy as np
import pytest
from astropy.io import fits
from changing_psf import drawn_grid, drawn_psf, write_psfex, write_spherex, write_stdpsf, write_stpsf
from photutils.psf import GriddedPSFModel
from unblend.core.errors import InputError
from unblend.io.psf_files import Grid, Points, Polynomial, read_placed_psfs, read_psf_file, read_psf_images

ROWS, COLUMNS = [0.0, 50.0, 119.0], [0.0, 199.0]


def test_one_image_is_one_psf(tmp_path):
    fits.writeto(tmp_path / "psf.fits", drawn_psf(0, 0), fits.Header({"PIXELSCL": 0.03}))
    file = read_placed_psfs(f"{tmp_path}/psf.fits")
    assert file.images.shape == (1, 41, 41) and file.places is None and file.sampling is None
    assert file.header["PIXELSCL"] == 0.03


def test_a_plane_of_a_cube_is_one_psf(tmp_path):
    fits.writeto(tmp_path / "psf.fits", drawn_grid(ROWS, COLUMNS))
    file = read_placed_psfs(f"{tmp_path}/psf.fits[*,*,2]")
    np.testing.assert_array_equal(file.images[0], drawn_psf(0, 199))


def test_several_psfs_without_places_are_refused(tmp_path):
    fits.writeto(tmp_path / "psf.fits", drawn_grid(ROWS, COLUMNS))
    assert read_psf_file(f"{tmp_path}/psf.fits").places is None
    with pytest.raises(
        InputError, match=r"psf.fits has 6 planes of 41 x 41 pixels, and nothing says where .* one plane,"
    ):
        read_placed_psfs(f"{tmp_path}/psf.fits")


def test_stdpsf_as_photutils_reads_it(tmp_path):
    images = write_stdpsf(tmp_path / "STDPSF_MIRI_F770W.fits", ROWS, COLUMNS)
    file = read_placed_psfs(f"{tmp_path}/STDPSF_MIRI_F770W.fits")
    model = GriddedPSFModel.read(str(tmp_path / "STDPSF_MIRI_F770W.fits"), format="stdpsf")
    assert isinstance(file.places, Grid) and file.sampling == model.oversampling[0] == 4
    x, y = (axis - 1.0 for axis in (file.places.x, file.places.y))
    np.testing.assert_array_equal([(a, b) for b in y for a in x], model.grid_xypos)
    np.testing.assert_array_equal(file.images, model.data)
    np.testing.assert_allclose(file.images / 16.0, images, rtol=1e-12)


@pytest.mark.parametrize(
    ("cards", "found"),
    [
        ({"NXPSFS": 3}, "holds 6 PSFs, and NXPSFS x NYPSFS are 3 x 3"),
        ({"IPSFX02": -5}, "IPSFX01 … and JPSFY01 … do not ascend"),
        ({"JPSFY03": "far"}, "JPSFY03 = 'far'; expected a number"),
    ],
)
def test_stdpsf_that_contradicts_itself(tmp_path, cards, found):
    write_stdpsf(tmp_path / "psf.fits", ROWS, COLUMNS)
    with fits.open(tmp_path / "psf.fits", "update") as hdus:
        hdus[0].header.update(cards)
    with pytest.raises(InputError, match=found):
        read_psf_file(f"{tmp_path}/psf.fits")


def test_stdpsf_of_several_detectors_is_refused(tmp_path):
    header = fits.Header({"NXPSFS": 8, "NYPSFS": 7})
    fits.writeto(tmp_path / "psf.fits", np.ones((56, 5, 5)), header)
    with pytest.raises(InputError, match=r"holds the PSFs of several detectors \(8 x 7\)"):
        read_psf_file(f"{tmp_path}/psf.fits")


def test_stpsf_places_are_rows_first(tmp_path):
    images = write_stpsf(tmp_path / "psf.fits", ROWS, COLUMNS)
    file = read_placed_psfs(f"{tmp_path}/psf.fits")
    assert isinstance(file.places, Grid) and file.sampling == 2.0
    assert file.places.y.tolist() == [1.0, 51.0, 120.0] and file.places.x.tolist() == [1.0, 200.0]
    np.testing.assert_array_equal(file.images, images)
    # the second of the file is the first of the second row
    assert file.names[2] == f"{tmp_path}/psf.fits[*,*,2]"


def test_stpsf_that_is_no_grid(tmp_path):
    write_stpsf(tmp_path / "psf.fits", ROWS, COLUMNS)
    with fits.open(tmp_path / "psf.fits", "update") as hdus:
        hdus[0].header["DET_YX3"] = "(7.0, 5.0)"
    with pytest.raises(InputError, match="do not form a rectangular grid"):
        read_psf_file(f"{tmp_path}/psf.fits")
    with fits.open(tmp_path / "psf.fits", "update") as hdus:
        hdus[0].header["DET_YX3"] = "here"
    with pytest.raises(InputError, match=r"DET_YX3 = 'here'; expected \(y, x\)"):
        read_psf_file(f"{tmp_path}/psf.fits")


@pytest.mark.parametrize(
    ("version", "exchanged"), [("6.5.6", False), ("v7.0", False), ("6.4.1+psffix1", False), ("6.5.5", True)]
)
def test_spherex_zones(tmp_path, version, exchanged, caplog):
    centres = write_spherex(tmp_path / "sx.fits", version, exchanged=exchanged)
    file = read_placed_psfs(f"{tmp_path}/sx.fits[PSF]")
    assert isinstance(file.places, Points) and file.places.frame == "detector" and file.sampling == 2.0
    np.testing.assert_allclose(file.places.values, centres[:, ::-1] + 1.0)
    assert ("exchanged rows and columns" in caplog.text) == exchanged


def test_spherex_without_a_version_is_refused(tmp_path):
    write_spherex(tmp_path / "sx.fits", "unknown")
    with pytest.raises(InputError, match="does not say by which version of the SPHEREx pipeline"):
        read_psf_file(f"{tmp_path}/sx.fits[PSF]")


@pytest.mark.parametrize("names", [("RA", "Dec"), ("x", "y")])
def test_a_table_of_positions(tmp_path, names):
    values = np.array([[53.0, -27.0], [53.1, -27.2]])
    table = fits.BinTableHDU.from_columns([fits.Column(n, "D", array=values[:, k]) for k, n in enumerate(names)])
    fits.HDUList([fits.PrimaryHDU(drawn_grid([0.0], COLUMNS)), table]).writeto(tmp_path / "psf.fits")
    file = read_placed_psfs(f"{tmp_path}/psf.fits")
    assert isinstance(file.places, Points) and file.places.frame == ("sky" if names[0] == "RA" else "pixel")
    np.testing.assert_array_equal(file.places.values, values)


def test_a_table_with_other_rows_is_refused(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column(n, "D", array=[1.0]) for n in "xy"])
    fits.HDUList([fits.PrimaryHDU(drawn_grid([0.0], COLUMNS)), table]).writeto(tmp_path / "psf.fits")
    with pytest.raises(InputError, match="holds 2 PSFs, and its table of positions 1 rows"):
        read_psf_file(f"{tmp_path}/psf.fits")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_psfex_as_galsim_evaluates_it(tmp_path, degree):
    write_psfex(tmp_path / "k.psf", degree)
    file, galsim_psf = read_placed_psfs(f"{tmp_path}/k.psf"), galsim.des.DES_PSFEx(str(tmp_path / "k.psf"))
    assert file.sampling == pytest.approx(1.0 / galsim_psf.sample_scale)
    for x, y in ((1.0, 1.0), (150.3, 20.7), (200.0, 120.0)):
        terms = file.places.terms(x, y) if isinstance(file.places, Polynomial) else np.ones(1)
        found = np.tensordot(terms, file.images, axes=1)
        np.testing.assert_allclose(found, galsim_psf.getPSFArray(galsim.PositionD(x, y)), atol=1e-6 * found.max())


def test_psfex_that_depends_on_something_else_is_refused(tmp_path):
    write_psfex(tmp_path / "k.psf", names=("X_IMAGE", "MAG_AUTO"))
    with pytest.raises(InputError, match="its PSF depends on X_IMAGE, MAG_AUTO; expected the position"):
        read_psf_file(f"{tmp_path}/k.psf")


def test_psfex_that_is_damaged(tmp_path):
    write_psfex(tmp_path / "k.psf")
    with fits.open(tmp_path / "k.psf", "update") as hdus:
        hdus[1].header["POLDEG1"] = 3
    with pytest.raises(InputError, match="has 6 coefficients for a polynomial of degree 3"):
        read_psf_file(f"{tmp_path}/k.psf")


def test_images_for_polygons_are_planes_or_extensions(tmp_path):
    images = drawn_grid(ROWS, COLUMNS)
    fits.writeto(tmp_path / "cube.fits", images)
    cube = read_psf_images(f"{tmp_path}/cube.fits")
    assert cube.labels == ("1", "2", "3", "4", "5", "6")
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(images[0], name="WEST"), fits.ImageHDU(images[1])]
    fits.HDUList(hdus).writeto(tmp_path / "several.fits")
    several = read_psf_images(f"{tmp_path}/several.fits")
    assert several.labels == ("WEST", "2") and several.names[1] == f"{tmp_path}/several.fits[2]"
    np.testing.assert_array_equal(several.images, images[:2])
    hdus.append(fits.ImageHDU(images[0, 1:]))
    fits.HDUList(hdus).writeto(tmp_path / "mixed.fits")
    with pytest.raises(InputError, match="its images have different shapes"):
        read_psf_images(f"{tmp_path}/mixed.fits")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_psf_file(f"{tmp_path}/no.fits")
