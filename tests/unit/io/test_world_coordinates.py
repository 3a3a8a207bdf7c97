"""World coordinates of every kind of celestial header, and the sentences about those that cannot be used."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable
from unblend.core.coordinates import cut_wcs, pixel_scale, pixel_to_sky, same_grid, sky_jacobian, sky_to_pixel
from unblend.core.errors import InputError
from unblend.core.types import Box
from unblend.io.images import read_header, read_sky_cards, read_wcs, write_image
from unblend.io.mosaics import open_mosaic

SHAPE = (90, 100)
SCALE = 0.1 / 3600.0
Y, X = np.array([3.0, 44.5, 80.0]), np.array([7.0, 49.5, 95.0])
TARGET = SkyCoord(53.0873, -27.84, unit="deg")
FRAMES = {
    "icrs": ("icrs", ("RA--", "DEC-"), {"RADESYS": "ICRS"}),
    "fk5": ("fk5", ("RA--", "DEC-"), {"RADESYS": "FK5", "EQUINOX": 2000.0}),
    "fk5 of 1975": (FK5(equinox="J1975"), ("RA--", "DEC-"), {"RADESYS": "FK5", "EQUINOX": 1975.0}),
    "fk4": (FK4(), ("RA--", "DEC-"), {"EQUINOX": 1950.0}),
    "fk4 of a date": (FK4(obstime="J1999.5"), ("RA--", "DEC-"), {"RADESYS": "FK4", "MJD-OBS": 51361.0}),
    "galactic": ("galactic", ("GLON", "GLAT"), {}),
    "ecliptic": (BarycentricMeanEcliptic(), ("ELON", "ELAT"), {}),
    "supergalactic": ("supergalactic", ("SLON", "SLAT"), {}),
}


def header(**changes):
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": TARGET.ra.deg, "CRVAL2": TARGET.dec.deg}
    cards |= {"CRPIX1": 50.5, "CRPIX2": 45.5, "CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE}
    result = fits.Header()
    result.update({key: value for key, value in {**cards, **changes}.items() if value is not None})
    return result


@pytest.fixture
def write(tmp_path):
    def _write(head, *more, name="image.fits", data=None):
        data = np.zeros(SHAPE, dtype=np.float32) if data is None else data
        fits.HDUList([fits.PrimaryHDU(data, head), *more]).writeto(tmp_path / name, overwrite=True)
        return str(tmp_path / name)

    return _write


def check_positions(path, expected, tmp_path, atol_mas=0.01):
    """Check the ICRS positions of an image, of its mosaic and cutout, of its products; and the way back."""
    wcs = read_wcs(path)
    with open_mosaic(path) as mosaic:
        cut = mosaic.cut_wcs(Box(5, 12, 60, 70))
    write_image(tmp_path / "stack.fits", np.zeros(SHAPE), wcs=wcs)
    write_image(tmp_path / "mask.fits", np.zeros(SHAPE), header=read_sky_cards(path))
    write_image(tmp_path / "cut.fits", np.zeros((55, 58)), wcs=cut)
    again = [read_wcs(str(tmp_path / name)) for name in ("stack.fits", "mask.fits")]
    for one, y, x in [
        *((one, Y, X) for one in (wcs, *again)),
        *(
            (one, Y - 5, X - 12)
            for one in (cut, cut_wcs(wcs, Box(5, 12, 60, 70)), read_wcs(str(tmp_path / "cut.fits")))
        ),
    ]:
        found = SkyCoord(*pixel_to_sky(one, y, x), unit="deg")
        assert found.separation(expected).to_value("mas").max() < atol_mas
        np.testing.assert_allclose(sky_to_pixel(one, expected.ra.deg, expected.dec.deg), (y, x), atol=2e-4)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("frame", "axes", "cards"), FRAMES.values(), ids=FRAMES)
def test_every_system_and_order_of_axes(write, tmp_path, frame, axes, cards, swapped):
    place = TARGET.transform_to(frame).spherical
    centre = place.lon.deg, place.lat.deg
    turned = {"CD1_1": -0.8 * SCALE, "CD1_2": 0.6 * SCALE, "CD2_1": 0.6 * SCALE, "CD2_2": 0.8 * SCALE}
    own = {f"CTYPE{i}": f"{axis}-TAN" for i, axis in enumerate(axes, start=1)}
    expected = WCS(header(**own, **turned, CRVAL1=centre[0], CRVAL2=centre[1])).all_pix2world(X, Y, 0)
    sky = SkyCoord(*expected, unit="deg", frame=frame).icrs
    if swapped:
        own = {"CTYPE1": own["CTYPE2"], "CTYPE2": own["CTYPE1"]}
        turned = {
            "CD1_1": turned["CD2_1"],
            "CD1_2": turned["CD2_2"],
            "CD2_1": turned["CD1_1"],
            "CD2_2": turned["CD1_2"],
        }
        centre = centre[::-1]
    path = write(header(**own, **turned, **cards, CRVAL1=centre[0], CRVAL2=centre[1]))
    # FK4 by a date: the epoch of the test is that of the header to a few hours
    check_positions(path, sky, tmp_path)
    assert pixel_scale(read_wcs(path), SHAPE) == pytest.approx(0.1, rel=1e-5)


def test_an_equinox_as_text(write):
    for value in ("J1975", "1975.0", "J1975.0"):
        wcs = read_wcs(write(header(RADESYS="FK5", EQUINOX=value)))
        assert wcs.wcs.equinox == 1975.0


def test_long_keywords_are_passed_over_without_a_warning(write):
    head = header()
    head["HIERARCH BACK_maskthresh"] = 3.0  # as in images of DJA
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_wcs(write(head)).wcs.crval[0] == pytest.approx(header()["CRVAL1"])


@pytest.mark.parametrize(("unit", "factor"), [("arcsec", 3600.0), ("degree", 1.0), ("Degrees", 1.0), ("arcmin", 60.0),
                                              ("rad", np.pi / 180)])  # fmt: skip
@pytest.mark.parametrize("matrix", ["CD", "CDELT"])
def test_units_of_the_axes(write, tmp_path, unit, factor, matrix):
    steps = {"CD1_1": -SCALE * factor, "CD2_2": SCALE * factor}
    if matrix == "CDELT":
        steps = {
            "CDELT1": -SCALE * factor,
            "CDELT2": SCALE * factor,
            **dict.fromkeys(("CD1_1", "CD1_2", "CD2_1", "CD2_2")),
        }
    centre = {"CRVAL1": TARGET.ra.deg * factor, "CRVAL2": TARGET.dec.deg * factor}
    path = write(header(CUNIT1=unit, CUNIT2=unit, **steps, **centre))
    check_positions(path, SkyCoord(*WCS(header()).all_pix2world(X, Y, 0), unit="deg"), tmp_path)


def distorted(kind):
    """Return the header of an image with distortion."""
    if kind == "SIP":
        sip = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_0_2": -5e-5, "A_1_1": 3e-5}
        return header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", **sip)
    # second order: 0.02 of the field of 10 arcsec
    terms = {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": 7.0, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_5": -5.0}
    code = "TPV" if kind == "TPV" else "TAN"
    return header(CTYPE1=f"RA---{code}", CTYPE2=f"DEC--{code}", **terms)


@pytest.mark.parametrize("kind", ["SIP", "TPV", "TPV under the name TAN"])
def test_distortion_by_polynomials(write, tmp_path, kind):
    head = distorted(kind)
    truth = WCS(distorted("TPV") if "TPV" in kind else head)
    sky = SkyCoord(*truth.all_pix2world(X, Y, 0), unit="deg")
    plain = SkyCoord(*WCS(header()).all_pix2world(X, Y, 0), unit="deg")
    assert sky.separation(plain).arcsec.max() > 0.001
    check_positions(write(head), sky, tmp_path)


def with_tables(roughness=0.0):
    """Return a WCS with distortion in tables, of up to half a pixel."""
    wcs = WCS(header())
    y, x = np.mgrid[0:11, 0:11]
    table = (0.3 * np.sin(x / 4) + 0.002 * y**2).astype(np.float32)
    table += np.float32(roughness) * np.random.default_rng(1).normal(size=table.shape).astype(np.float32)
    wcs.cpdis1 = DistortionLookupTable(table, (1.0, 1.0), (1.0, 1.0), (10.0, 10.0))
    wcs.cpdis2 = DistortionLookupTable(table.T.copy(), (1.0, 1.0), (1.0, 1.0), (10.0, 10.0))
    return wcs


@pytest.mark.parametrize("kind", ["RA---TAN DEC--TAN", "RA---TPV DEC--TPV"])
def test_absent_linear_coefficients_of_a_polynomial_are_1(write, kind):
    types = dict(zip(("CTYPE1", "CTYPE2"), kind.split(), strict=True))
    found, plain = read_wcs(write(header(**types, PV2_4=0.0, PV1_7=0.0))), read_wcs(write(header(), name="plain.fits"))
    np.testing.assert_allclose(pixel_to_sky(found, Y, X), pixel_to_sky(plain, Y, X), rtol=0, atol=1e-12)
    with pytest.raises(InputError, match="no area on the sky"):
        read_wcs(write(header(**types, PV2_1=0.0, PV1_7=0.0)))


def test_distortion_in_tables(write, tmp_path):
    wcs = with_tables()
    hdus = wcs.to_fits(relax=True)
    path = write(hdus[0].header, *hdus[1:])
    sky = SkyCoord(*wcs.all_pix2world(X, Y, 0), unit="deg")
    assert sky.separation(SkyCoord(*wcs.wcs_pix2world(X, Y, 0), unit="deg")).arcsec.max() > 0.02
    found = SkyCoord(*pixel_to_sky(read_wcs(path), Y, X), unit="deg")
    # The polynomial follows the table, which is interpolated linearly, to 0.02 pixel.
    assert found.separation(sky).arcsec.max() < 0.002
    write_image(tmp_path / "mask.fits", np.zeros(SHAPE), header=read_sky_cards(path))
    write_image(tmp_path / "stack.fits", np.zeros(SHAPE), wcs=read_wcs(path))
    for name in ("mask.fits", "stack.fits"):
        assert same_grid(read_wcs(str(tmp_path / name)), SHAPE, read_wcs(path), SHAPE)


def test_tables_that_no_polynomial_follows_are_refused(write):
    hdus = with_tables(roughness=0.1).to_fits(relax=True)
    path = write(hdus[0].header, *hdus[1:])
    with pytest.raises(InputError, match=r"image.fits has world .* distortion in tables differs by up to 0.\d+ pixels"):
        read_wcs(path)


# The primary header -------------------------------------------------------------------------------------------------


def extension(write, primary, own, **cards):
    """Return the name of a file whose image is an extension."""
    path = write(primary, fits.ImageHDU(np.zeros(SHAPE, dtype=np.float32), own, name="SCI"), data=np.zeros((0, 0)))
    return f"{path}[SCI]"


def primary_with(**cards):
    result = fits.Header()
    result.update(cards)
    return result


def test_an_extension_has_its_own_world_coordinates_alone(write):
    primary = header(CRVAL1=10.0, CD1_1=5.0, RADESYS="FK4", EQUINOX=1950.0, LTV1=7.0, A_ORDER=2, A_2_0=0.1)
    primary.update({"PC1_1": 3.0, "CDELT1": 2.0, "CROTA2": 30.0, "PHOTZP": 25.0})
    bare = header(CD1_1=None, CD1_2=None, CD2_1=None, CD2_2=None, CDELT1=-SCALE, CDELT2=SCALE)
    for own in (header(), bare):
        found = read_wcs(extension(write, primary, own))
        assert same_grid(found, SHAPE, WCS(header()), SHAPE) and not hasattr(found, "physical")
    assert read_header(extension(write, primary, header()))["PHOTZP"] == 25.0


def test_with_inherit_the_primary_header_fills_in_what_is_missing(write):
    own = fits.Header()
    own.update({"CRPIX1": 20.5, "CRPIX2": 45.5, "INHERIT": True})
    found = read_wcs(extension(write, header(RADESYS="FK5"), own))
    assert same_grid(found, SHAPE, WCS(header(CRPIX1=20.5, RADESYS="FK5")), SHAPE)
    # the matrix is that of one header
    own = header(CD1_1=None, CD1_2=None, CD2_1=None, CD2_2=None, CDELT1=-SCALE, CDELT2=SCALE, INHERIT=True)
    found = read_wcs(extension(write, header(CD1_1=-5 * SCALE, A_ORDER=2, A_2_0=0.1, LTV1=3.0), own))
    assert same_grid(found, SHAPE, WCS(header()), SHAPE) and hasattr(found, "physical")


def test_world_coordinates_in_the_primary_header_only(write):
    with pytest.raises(
        InputError, match=r"image.fits\[SCI\] has no celestial WCS .*primary header has one.*INHERIT = T"
    ):
        read_wcs(extension(write, header(), fits.Header()))
    own = fits.Header()
    own["INHERIT"] = True
    assert same_grid(read_wcs(extension(write, header(), own)), SHAPE, WCS(header()), SHAPE)


# Matrices -----------------------------------------------------------------------------------------------------------


def test_pc_beside_cd(write):
    for extra in (
        {"CDELT1": -SCALE, "CDELT2": SCALE, "PC1_1": 1.0, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": 1.0},
        {"PC1_1": 1.0, "PC2_2": 1.0},
        {"CDELT1": 1.0, "CDELT2": 1.0},
        {"CDELT1": 0.3, "CDELT2": 0.3, "CROTA2": 12.0},
    ):
        assert same_grid(read_wcs(write(header(**extra))), SHAPE, WCS(header()), SHAPE)
    with pytest.raises(InputError, match=r"image.fits has .* a CD matrix and a PC matrix with CDELT, which disagree"):
        read_wcs(write(header(CDELT1=-SCALE, CDELT2=SCALE, PC1_1=0.8, PC1_2=-0.6, PC2_1=0.6, PC2_2=0.8)))


NO_CD = dict.fromkeys(("CD1_1", "CD1_2", "CD2_1", "CD2_2"))
SENTENCES = [
    (
        {**NO_CD, "CDELT1": 0.0, "CDELT2": SCALE},
        r"its pixels have no area on the sky \(CDELT1 = 0, CDELT2 = 2.77778e-05\)",
    ),
    ({"CD1_1": SCALE, "CD1_2": SCALE, "CD2_1": SCALE}, "its pixels have no area on the sky"),
    ({**NO_CD}, "it has no pixel scale"),
    ({"CRVAL1": "unknown"}, "CRVAL1 = 'unknown', expected a number"),
    ({"CRVAL1": 1e30}, "CRVAL1 = 1e.30 degrees is not a position on the sky"),
    ({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"}, "the projection 'XYZ' of CTYPE 'RA---XYZ' is not known"),
    ({"CUNIT1": "furlong"}, "CUNIT1 = 'furlong' is not the unit of an angle; expected one of deg"),
    ({"CUNIT2": "m"}, "CUNIT2 = 'm' is not the unit of an angle"),
    ({"CTYPE2": None}, "CTYPE1 = 'RA---TAN', CTYPE2 = ''; expected two celestial axes .* found 1"),
    (
        {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"},
        "CTYPE1 = 'LINEAR', CTYPE2 = 'LINEAR'; expected two celestial axes .* found 0",
    ),
    ({"CTYPE2": "RA---TAN"}, r"used: inconsistent projection types \(expected DEC--TAN, got RA---TAN in CTYPE2\)"),
    ({"CTYPE1": "RA---SIN"}, r"used: inconsistent projection types \(expected DEC--SIN, got DEC--TAN in CTYPE2\)"),
    ({"CTYPE2": "GLAT-TAN"}, "has world coordinates that cannot be used"),
    ({"CTYPE1": "TLON-TAN", "CTYPE2": "TLAT-TAN"}, "the celestial system of CTYPE 'TLON' is not known"),
    ({"RADESYS": "GAPPT"}, "RADESYS = 'GAPPT' is not known"),
    ({"CRVAL2": 123.0}, "world coordinates that cannot be used|centre of the image is not on the sky"),
    ({"CRPIX1": 1e8, "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"}, "the centre of the image is not on the sky"),
    ({"EQUINOX": "soon"}, "EQUINOX = 'soon', expected a number"),
    ({"CRPIX1": 1e30}, "the pixels of the image have no area on the sky by its CRPIX, CRVAL and pixel scale"),
    ({"CPDIS1": "LOOKUP"}, "cannot be used"),
]


@pytest.mark.parametrize(("cards", "words"), SENTENCES, ids=[str(list(cards.items())[-1]) for cards, _ in SENTENCES])
def test_sentences_about_headers(write, cards, words):
    path = write(header(**cards))
    with pytest.raises(InputError, match=words) as caught:
        read_wcs(path)
    assert str(caught.value).startswith(f"{path} has ") and "\n" not in str(caught.value)
    assert "Error" not in str(caught.value) and " of file " not in str(caught.value)
    with pytest.raises(InputError, match=words), open_mosaic(path):
        pass


@pytest.mark.parametrize(("keyword", "card"), [("CPDIS1", "DP1.AXIS.1"), ("D2IMDIS1", "D2IM1.AXIS.1")])
def test_distortion_in_tables_that_are_missing(write, keyword, card):
    with pytest.raises(InputError, match=rf"the card {card} of the distortion in tables \({keyword}\) is missing"):
        read_wcs(write(header(**{keyword: "LOOKUP"})))


def test_a_scale_that_is_nan(write):
    path = write(header(**NO_CD, CDELT1=1.5, CDELT2=SCALE))
    with open(path, "r+b") as stream:
        at = stream.read().index(b"CDELT1  =")
        stream.seek(at)
        stream.write(b"CDELT1  =                  NaN".ljust(80))
    with pytest.raises(InputError, match=r"image.fits has .*: CDELT1 = .*, expected a number. Correct the header"):
        read_wcs(path)


def test_the_jacobian_is_that_of_icrs(write):
    """In a galactic image the local east and north are those of the equatorial system."""
    place = TARGET.galactic
    cards = {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", "CRVAL1": place.l.deg, "CRVAL2": place.b.deg}
    wcs = read_wcs(write(header(**cards)))
    east, north = sky_jacobian(wcs, 44.5, 49.5) @ [1.0, 0.0]
    up = SkyCoord(place.l, place.b + 1 * u.arcsec, frame="galactic").icrs
    angle = TARGET.position_angle(up).deg
    assert np.rad2deg(np.arctan2(east, north)) % 360 == pytest.approx(angle, abs=1e-3)
    assert np.hypot(east, north) == pytest.approx(0.1, rel=1e-6)
