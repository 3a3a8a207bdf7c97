from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from image_headers import CD, SCALE, tan_header
from unblend.core.coordinates import cut_wcs, physical_transform, pixel_scale, pixel_to_sky, sky_to_pixel
from unblend.core.errors import InputError
from unblend.core.types import Box, cut
from unblend.io.files import atomic_path
from unblend.io.images import (
    cut_sky_cards,
    read_array,
    read_header,
    read_label_window,
    read_labels,
    read_shape,
    read_sky_cards,
    read_wcs,
    read_window,
    write_image,
)
from unblend.io.mosaics import open_mosaic
from unblend.io.selections import split_extension

DATA = np.arange(12.0).reshape(3, 4)


@pytest.fixture
def write(tmp_path):
    def _write(*hdus, name="image.fits"):
        path = tmp_path / name
        fits.HDUList(list(hdus)).writeto(path)
        return str(path)

    return _write


# Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "extension"),
    [
        ("image.fits", "image.fits", None),
        ("image.fits[SCI]", "image.fits", "SCI"),
        ("a.b/image.fits.gz[2]", "a.b/image.fits.gz", "2"),
        ("field[1]/image.fits", "field[1]/image.fits", None),
        ("https://x.org/m.fits[SCI]", "https://x.org/m.fits", "SCI"),
        ("image.fits[SCI,2]", "image.fits", "SCI,2"),
        ("b[1].fits", "b[1].fits", None),
        ("b[1].fits[SCI]", "b[1].fits", "SCI"),
        ("cube.fits[SCI][*,*,3]", "cube.fits", "SCI][*,*,3"),
    ],
)
def test_split_extension(name, path, extension):
    assert split_extension(name) == (path, extension)


# Types of pixels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i4", "u1"])
def test_any_type_becomes_native_float64(write, dtype):
    read = read_array(write(fits.PrimaryHDU(DATA.astype(dtype))))
    assert read.dtype == np.dtype("=f8") and read.dtype.isnative and read.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(read, DATA)


def test_scaled_integers(write):
    hdu = fits.PrimaryHDU(np.array([[-32768, 0, 100]], dtype=np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    path = write(hdu)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.5, 10.0
    np.testing.assert_array_equal(read_array(path), [[-16374.0, 10.0, 60.0]])


def test_blank_integers_are_nan(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[-99, 7]], dtype=np.int32))
    hdu.header["BLANK"] = -99
    hdu.writeto(tmp_path / "blank.fits")
    np.testing.assert_array_equal(read_array(str(tmp_path / "blank.fits")), [[np.nan, 7.0]])


def test_blank_integers_with_a_scale_are_nan(write):
    path = write(fits.PrimaryHDU(np.array([[-99, 7]], dtype=np.int16)))
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update({"BSCALE": 0.5, "BZERO": 10.0, "BLANK": -99})
    np.testing.assert_array_equal(read_array(path), [[np.nan, 13.5]])


def test_unsigned_integers(write):
    np.testing.assert_array_equal(
        read_array(write(fits.PrimaryHDU(np.array([[0, 65535]], dtype=np.uint16)))), [[0, 65535]]
    )


def test_gzip(tmp_path, write):
    plain = write(fits.PrimaryHDU(DATA, tan_header(**CD)))
    packed = tmp_path / "image.fits.gz"
    with open(plain, "rb") as stream, gzip.open(packed, "wb") as out:
        out.write(stream.read())
    np.testing.assert_array_equal(read_array(str(packed)), DATA)
    assert read_wcs(str(packed)).has_celestial


def test_rice_compressed(tmp_path):
    data = np.arange(64 * 64, dtype=np.int32).reshape(64, 64)
    hdu = fits.CompImageHDU(data, tan_header(**CD), compression_type="RICE_1", name="SCI")
    path = tmp_path / "image.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    np.testing.assert_array_equal(read_array(str(path)), data)
    np.testing.assert_array_equal(read_array(f"{path}[SCI]"), data)
    assert read_shape(str(path)) == (64, 64)
    assert pixel_scale(read_wcs(str(path))) == pytest.approx(0.1, rel=1e-6)


def test_rice_compressed_floats_keep_nan(tmp_path):
    data = np.random.default_rng(1).normal(100.0, 1.0, (64, 64)).astype(np.float32)
    data[10:20, 10:20] = np.nan
    hdu = fits.CompImageHDU(data, compression_type="RICE_1", quantize_level=16)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "image.fits.fz")
    read = read_array(str(tmp_path / "image.fits.fz"))
    np.testing.assert_array_equal(np.isnan(read), np.isnan(data))
    # quantised to a sixteenth of the noise
    np.testing.assert_allclose(read, data, atol=0.1)


def test_nan_survives_and_infinity_is_not_observed(write):
    data = DATA.copy()
    data[0, 0], data[1, 1], data[2, 0] = np.nan, np.inf, -np.inf
    expected = np.where(np.isinf(data), np.nan, data)
    np.testing.assert_array_equal(read_array(write(fits.PrimaryHDU(data))), expected)


# Which extension ----------------------------------------------------------------------------------------------------


def table_hdu():
    return fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(3))], name="CAT")


def test_the_first_image_may_follow_an_empty_primary_a_table_and_a_cube(write):
    cube = fits.ImageHDU(np.zeros((2, 3, 4)), name="CUBE")
    path = write(
        fits.PrimaryHDU(), table_hdu(), cube, fits.ImageHDU(DATA, name="SCI"), fits.ImageHDU(DATA + 1, name="ERR")
    )
    np.testing.assert_array_equal(read_array(path), DATA)
    np.testing.assert_array_equal(read_array(f"{path}[ERR]"), DATA + 1)
    np.testing.assert_array_equal(read_array(f"{path}[4]"), DATA + 1)
    assert read_shape(path) == (3, 4)


def test_an_extension_inherits_from_the_primary_header(write):
    primary = fits.PrimaryHDU()
    primary.header["PHOTZP"], primary.header["CRVAL1"] = 25.0, 1.0
    path = write(primary, fits.ImageHDU(DATA, tan_header(**CD)))
    header = read_header(path)
    assert header["PHOTZP"] == 25.0 and header["CRVAL1"] == 53.0


def test_a_missing_extension_lists_those_that_exist(write):
    path = write(fits.PrimaryHDU(), fits.ImageHDU(DATA, name="SCI"))
    with pytest.raises(InputError, match=r"no extension 'WHT'. It has \[0\], \[SCI\]: name one of"):
        read_array(f"{path}[WHT]")
    with pytest.raises(InputError, match="no extension '7'"):
        read_array(f"{path}[7]")


def test_a_named_extension_that_is_not_an_image(write):
    path = write(fits.PrimaryHDU(), table_hdu(), fits.ImageHDU(np.zeros((4, 5)), name="SCI"))
    with pytest.raises(InputError, match=r"\[CAT\] is a table; expected an image"):
        read_array(f"{path}[CAT]")
    with pytest.raises(InputError, match=r"\[0\] has no pixels; expected a two-dimensional image. Give another"):
        read_array(f"{path}[0]")


def test_extensions_of_one_name_have_versions(write):
    path = write(fits.PrimaryHDU(), *(fits.ImageHDU(DATA + i, tan_header(**CD), name="SCI", ver=i) for i in (1, 2)))
    for number in (1, 2):
        np.testing.assert_array_equal(read_array(f"{path}[SCI,{number}]"), DATA + number)
        with open_mosaic(f"{path}[SCI, {number}]") as mosaic:
            np.testing.assert_array_equal(mosaic.read(Box(0, 0, 3, 4)), DATA + number)
    for read in (read_array, lambda name: open_mosaic(name).__enter__()):
        with pytest.raises(InputError, match=r"has no extension 'SCI,3'. It has .*\[SCI,1\], \[SCI,2\]: name"):
            read(f"{path}[SCI,3]")


def test_an_extension_without_a_version_has_version_1(write):
    hdu = fits.ImageHDU(DATA, tan_header(**CD), name="SCI")
    hdu.header.pop("EXTVER", None)
    path = write(fits.PrimaryHDU(), hdu)
    np.testing.assert_array_equal(read_array(f"{path}[sci,1]"), DATA)
    with open_mosaic(f"{path}[SCI,1]") as mosaic:
        np.testing.assert_array_equal(mosaic.read(Box(0, 0, 3, 4)), DATA)


def test_a_file_name_with_brackets(write):
    path = write(fits.PrimaryHDU(), fits.ImageHDU(DATA, tan_header(**CD), name="SCI"), name="b[1].fits")
    for name in (path, f"{path}[SCI]", f"{path}[1]"):
        np.testing.assert_array_equal(read_array(name), DATA)
        assert read_wcs(name).has_celestial and read_shape(name) == (3, 4)


def test_a_cube_needs_a_plane(write):
    cube = np.arange(5 * 3 * 4, dtype=np.int16).reshape(5, 3, 4)
    header = tan_header(**CD, CTYPE3="WAVE", CDELT3=1.0)
    path = write(fits.PrimaryHDU(), fits.ImageHDU(cube, header, name="DATA"))
    for name in (path, f"{path}[DATA]", f"{path}[DATA][*,*,6]", f"{path}[*,*,0]"):
        for read in (read_array, read_shape, read_wcs, lambda name: open_mosaic(name).__enter__()):
            with pytest.raises(
                InputError, match=r"has 5 planes of 4 x 3 pixels; expected an image. Name a plane from 1 to 5"
            ):
                read(name)
    for name in (f"{path}[DATA][*,*,2]", f"{path}[*,*,2]", f"{path}[1][*, *, 2]"):
        np.testing.assert_array_equal(read_array(name), cube[1])
        assert read_shape(name) == (3, 4) and read_wcs(name).naxis == 2
        with open_mosaic(name) as mosaic:
            np.testing.assert_array_equal(mosaic.read(Box(1, 1, 3, 4)), cube[1, 1:3, 1:4])


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_axes_of_length_one_are_no_dimensions(write, dtype):
    path = write(fits.PrimaryHDU(DATA.astype(dtype).reshape(1, 1, 3, 4), tan_header(**CD)))
    np.testing.assert_array_equal(read_array(path), DATA)
    assert read_shape(path) == (3, 4) and read_wcs(path).has_celestial
    np.testing.assert_array_equal(read_labels(path), DATA)


def test_a_spectrum_is_no_image(write):
    with pytest.raises(InputError, match=r"\[0\] has one dimension; expected a two-dimensional image"):
        read_array(write(fits.PrimaryHDU(np.zeros(7))) + "[0]")


def test_a_file_without_an_image(write):
    with pytest.raises(InputError, match=r"image.fits has no two-dimensional image. Give the extension"):
        read_array(write(fits.PrimaryHDU(), table_hdu()))


# Files that are not images -----------------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing.fits does not exist; expected a FITS file. Correct its name"):
        read_array(str(tmp_path / "nothing.fits"))


@pytest.mark.parametrize("content", [b"", b"not a FITS file, not at all\n" * 200, b"\x89PNG\r\n" + bytes(5000)])
def test_not_fits_at_all(tmp_path, content):
    path = tmp_path / "image.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"image.fits cannot be read as FITS: .*[a-z]") as caught:
        read_array(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder(tmp_path):
    with pytest.raises(InputError, match="cannot be read as FITS"):
        read_array(str(tmp_path))


def test_truncated_file(tmp_path, write):
    path = write(fits.PrimaryHDU(np.ones((200, 200)), tan_header(**CD)))
    cut = tmp_path / "cut.fits"
    with open(path, "rb") as stream:
        cut.write_bytes(stream.read()[:30000])
    with pytest.raises(InputError, match=r"cut.fits cannot be read") as caught:
        read_array(str(cut))
    assert "\n" not in str(caught.value)


def test_truncated_gzip(tmp_path, write):
    path = write(fits.PrimaryHDU(np.random.default_rng(1).normal(size=(200, 200))))
    cut = tmp_path / "cut.fits.gz"
    with open(path, "rb") as stream:
        cut.write_bytes(gzip.compress(stream.read())[:5000])
    with pytest.raises(InputError, match=r"cut.fits.gz cannot be read"):
        read_array(str(cut))


# World coordinates --------------------------------------------------------------------------------------------------


def test_no_wcs(write):
    with pytest.raises(
        InputError, match=r"image.fits has no celestial WCS \(CTYPE1, CTYPE2 …\). Add an astrometric solution"
    ):
        read_wcs(write(fits.PrimaryHDU(DATA)))


@pytest.mark.parametrize(
    "cards",
    [
        CD,
        {"CDELT1": -SCALE, "CDELT2": SCALE},
        {"CDELT1": -SCALE, "CDELT2": SCALE, "PC1_1": 1.0, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": 1.0},
        {"CDELT1": -SCALE, "CDELT2": SCALE, "CROTA2": 0.0},
    ],
    ids=["CD", "CDELT", "PC", "CROTA"],
)
def test_all_ways_to_write_a_matrix(write, cards):
    wcs = read_wcs(write(fits.PrimaryHDU(DATA, tan_header(**cards))))
    assert pixel_scale(wcs, DATA.shape) == pytest.approx(0.1, rel=1e-6)
    y, x = sky_to_pixel(wcs, 53.0, -27.8)
    assert (y[0], x[0]) == pytest.approx((0.5, 1.0), abs=1e-9)


def test_crota_is_a_rotation(write):
    angle = np.deg2rad(30.0)
    turned = {"CDELT1": -SCALE, "CDELT2": SCALE, "CROTA2": 30.0}
    matrix = {
        "CD1_1": -SCALE * np.cos(angle), "CD1_2": -SCALE * np.sin(angle),
        "CD2_1": -SCALE * np.sin(angle), "CD2_2": SCALE * np.cos(angle),
    }  # fmt: skip
    one = read_wcs(write(fits.PrimaryHDU(DATA, tan_header(**turned)), name="a.fits"))
    two = read_wcs(write(fits.PrimaryHDU(DATA, tan_header(**matrix)), name="b.fits"))
    np.testing.assert_allclose(
        pixel_to_sky(one, [0.0, 9.0], [3.0, 5.0]), pixel_to_sky(two, [0.0, 9.0], [3.0, 5.0]), rtol=1e-12
    )


def sip_header():
    header = tan_header(**CD, CRPIX1=50.0, CRPIX2=60.0)
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_0_2": -5e-5, "A_1_1": 3e-5})
    return header


def test_sip_is_read_and_written(tmp_path, write):
    path = write(fits.PrimaryHDU(np.zeros((100, 100)), sip_header()))
    wcs = read_wcs(path)
    truth = WCS(sip_header()).all_pix2world([[10.0, 20.0]], 0)[0]
    assert [float(v[0]) for v in pixel_to_sky(wcs, 20.0, 10.0)] == pytest.approx(list(truth), abs=1e-12)
    write_image(tmp_path / "copy.fits", np.zeros((100, 100)), wcs=wcs)
    again = read_wcs(str(tmp_path / "copy.fits"))
    # headers hold 12 digits and more: a millionth of an arcsecond is 3e-10 deg
    assert [float(v[0]) for v in pixel_to_sky(again, 20.0, 10.0)] == pytest.approx(list(truth), abs=3e-10)


def test_the_wcs_of_a_cube_with_an_image_beside_it(write):
    header = tan_header(**CD)
    header.update({"WCSAXES": 3, "CTYPE3": "WAVE", "CRVAL3": 5e-7, "CRPIX3": 1.0, "CD3_3": 1e-10, "CUNIT3": "m"})
    wcs = read_wcs(write(fits.PrimaryHDU(DATA, header)))
    assert wcs.naxis == 2 and pixel_scale(wcs) == pytest.approx(0.1, rel=1e-6)


def test_illegal_cards_do_no_harm(tmp_path):
    header = tan_header(**CD)
    path = tmp_path / "odd.fits"
    fits.PrimaryHDU(DATA, header).writeto(path)
    raw = bytearray(path.read_bytes())
    # cards that FITS does not allow, found in some files: lower case, a blank in the name, no value, a bare word, NaN
    odd = [
        b"lower   =                  1.0",
        b"TWO WORD=                    1",
        b"NOVALUE =",
        b"BARE    = word",
        b"NOTNUM  = nan",
    ]
    end = raw.index(b"END" + b" " * 77)
    for number, card in enumerate([*odd, b"END"]):
        raw[end + 80 * number : end + 80 * (number + 1)] = card.ljust(80)
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_array(str(path)), DATA)
    assert pixel_scale(read_wcs(str(path))) == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("header", [tan_header(**CD), sip_header()], ids=["plain", "SIP"])
def test_the_wcs_cards_of_a_cutout_agree_with_its_wcs(tmp_path, write, header):
    header.update({"CTYPE3": "WAVE", "BUNIT": "nJy"})
    path, box = write(fits.PrimaryHDU(DATA, header)), Box(-5, 12, 30, 60)
    cards = cut_sky_cards(read_sky_cards(path), box)
    assert "CTYPE3" not in cards and "BUNIT" not in cards
    write_image(tmp_path / "cut.fits", np.zeros(box.shape), header=cards)
    one, two = (pixel_to_sky(w, 7.0, 9.0) for w in (read_wcs(f"{tmp_path}/cut.fits"), cut_wcs(read_wcs(path), box)))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)


# Writing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "written"),
    [(DATA, ">f4"), (DATA > 3, "u1"), (DATA.astype(np.int32), ">i4")],
    ids=["floats", "mask", "labels"],
)
def test_types_on_disk(tmp_path, data, written):
    write_image(tmp_path / "out.fits", data)
    with fits.open(tmp_path / "out.fits") as hdus:
        assert hdus[0].data.dtype == np.dtype(written)
        np.testing.assert_array_equal(hdus[0].data, data)
    np.testing.assert_array_equal(read_labels(str(tmp_path / "out.fits")), data.astype(np.int32))
    assert read_labels(str(tmp_path / "out.fits")).dtype == np.int32


def test_header_and_wcs_come_back(tmp_path, write):
    wcs = read_wcs(write(fits.PrimaryHDU(DATA, tan_header(**CD))))
    write_image(tmp_path / "sub" / "out.fits", DATA, wcs=wcs, header={"BAND": "f160w", "RMS": 0.25, "NOTHING": None})
    header = read_header(str(tmp_path / "sub" / "out.fits"))
    assert header["BAND"] == "f160w" and header["RMS"] == 0.25 and "NOTHING" not in header
    again = read_wcs(str(tmp_path / "sub" / "out.fits"))
    np.testing.assert_allclose(
        pixel_to_sky(again, [0.0, 2.0], [0.0, 3.0]), pixel_to_sky(wcs, [0.0, 2.0], [0.0, 3.0]), rtol=1e-12
    )


def test_a_failed_write_leaves_no_temporary_file_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "out.fits"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk full")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["out.fits"]


def test_a_failed_write_of_an_image_leaves_no_file(tmp_path):
    with pytest.raises((TypeError, ValueError, OSError)):
        write_image(tmp_path / "out.fits", np.array([["a"]]))
    assert list(tmp_path.iterdir()) == []


def test_permissions_are_those_of_a_plain_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    write_image(tmp_path / "out.fits", DATA)
    assert (tmp_path / "out.fits").stat().st_mode == plain.stat().st_mode


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a.fits", "b.fits"):
        write_image(tmp_path / name, DATA, header={"X": 1.5})
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()


# Physical coordinates -----------------------------------------------------------------------------------------------


def test_physical_coordinates_are_read_and_written_to_products(write, tmp_path):
    header = tan_header(**CD, LTV1=-100.0, LTM1_1=0.5)
    wcs = read_wcs(write(fits.PrimaryHDU(DATA, header)))
    matrix, offset = physical_transform(wcs)
    assert matrix.tolist() == [[0.5, 0.0], [0.0, 1.0]] and offset.tolist() == [-100.0, 0.0]
    write_image(tmp_path / "product.fits", DATA, wcs=wcs)
    again = read_header(str(tmp_path / "product.fits"))
    assert (again["LTV1"], again["LTM1_1"], again["LTM2_2"], again["LTV2"]) == (-100.0, 0.5, 1.0, 0.0)


@pytest.mark.parametrize("cards", [{}, {"LTM1_1": 0.0}, {"LTV1": "unknown"}])
def test_missing_or_invalid_physical_coordinates_are_ignored(write, cards):
    wcs = read_wcs(write(fits.PrimaryHDU(DATA, tan_header(**CD, **cards))))
    assert not hasattr(wcs, "physical")


# Windows -----------------------------------------------------------------------------------------------------------

INSIDE, ACROSS, BEYOND = Box(1, 1, 3, 3), Box(-1, 2, 2, 6), Box(7, 0, 9, 2)


@pytest.mark.parametrize("box", [INSIDE, ACROSS, BEYOND, Box(2, 2, 2, 4)])
@pytest.mark.parametrize("kind", ["floats", "scaled", "compressed", "plane", "infinite"])
def test_a_window_has_the_pixels_of_the_image(tmp_path, kind, box):
    data = DATA.astype(np.float32)
    if kind == "infinite":
        data[1, 2], data[2, 2] = np.inf, -np.inf
    hdu = fits.PrimaryHDU(np.stack([data, 2 * data]) if kind == "plane" else data)
    if kind == "scaled":
        hdu.scale("int16", bscale=0.5, bzero=3.0)
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data)] if kind == "compressed" else [hdu]
    fits.HDUList(hdus).writeto(tmp_path / "image.fits")
    name = f"{tmp_path / 'image.fits'}{'[0][*,*,2]' if kind == 'plane' else ''}"
    np.testing.assert_array_equal(read_window(name, box), cut(read_array(name), box, np.nan))


@pytest.mark.parametrize("box", [INSIDE, ACROSS, BEYOND])
def test_a_window_of_labels_is_filled_beyond_the_map(tmp_path, box):
    write_image(tmp_path / "labels.fits", DATA.astype(np.int32))
    found = read_label_window(str(tmp_path / "labels.fits"), box, 7)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, cut(DATA.astype(np.int32), box, 7))


def test_a_window_of_a_cut_file_is_refused(tmp_path):
    write_image(tmp_path / "image.fits", np.zeros((100, 100)))
    content = (tmp_path / "image.fits").read_bytes()
    (tmp_path / "image.fits").write_bytes(content[:40_000])
    with pytest.raises(InputError, match="truncated"):
        read_window(str(tmp_path / "image.fits"), Box(90, 90, 95, 95))


@pytest.mark.parametrize(("factor", "stored"), [(1.0, -32), (1e-20, -32), (1e-36, -64), (1e60, -64), (0.0, -32)])
def test_pixels_in_any_unit_keep_their_values(tmp_path, factor, stored):
    """The weights of an image in erg/s/cm2/Hz are about 1e60, which float32 does not hold."""
    data = factor * np.array([[1.0, -2e-6], [np.nan, 0.0]])
    write_image(tmp_path / "a.fits", data)
    assert read_header(str(tmp_path / "a.fits"))["BITPIX"] == stored
    np.testing.assert_allclose(read_array(str(tmp_path / "a.fits")), data, rtol=1e-6)
