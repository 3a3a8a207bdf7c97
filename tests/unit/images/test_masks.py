"""Region masks against brute force on the sky, on straight, rotated, flipped, oblong and distorted grids."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip
from scipy.ndimage import distance_transform_edt
from unblend.core import coordinates
from unblend.core.errors import RegionError
from unblend.core.types import Box, Region
from unblend.images import masks
from unblend.io.regions import parse_regions

RA, DEC, SHAPE = 53.09, -27.84, (120, 140)
PIXEL = 0.5
KINDS = ["straight", "rotated", "flipped", "oblong", "sip", "pole"]


def make_wcs(kind: str = "straight") -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [70.3, 58.6]
    wcs.wcs.crval = [RA, 89.995 if kind == "pole" else DEC]
    step = PIXEL / 3600.0
    cd = np.array([[-step, 0.0], [0.0, step]])
    if kind == "rotated":
        c, s = np.cos(np.deg2rad(33.0)), np.sin(np.deg2rad(33.0))
        cd = np.array([[c, -s], [s, c]]) @ cd
    if kind == "flipped":
        cd = cd @ np.diag([-1.0, 1.0])
    if kind == "oblong":
        cd = cd @ np.diag([1.0, 1.7])
    wcs.wcs.cd = cd
    if kind == "sip":
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], b[1, 1] = 8e-4, -6e-4
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def sky_grid(wcs: WCS) -> SkyCoord:
    y, x = np.indices(SHAPE)
    return SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg")


def region(text: str) -> Region:
    (result,), _ = parse_regions(text)
    return result


def mask_of(text: str, wcs: WCS, *, touch: bool = False) -> np.ndarray:
    return masks.region_mask(parse_regions(text)[0], wcs, SHAPE, touch=touch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("y", "x"), [(61.2, 52.7), (2.0, 135.0), (-9.0, 60.0)])
def test_sky_circle_is_every_pixel_within_the_radius(kind: str, y: float, x: float) -> None:
    wcs = make_wcs(kind)
    centre = SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg")
    mask = mask_of(f'icrs;circle({centre.ra.deg:.10f},{centre.dec.deg:.10f},8")', wcs)
    assert np.array_equal(mask, sky_grid(wcs).separation(centre) <= 8 * u.arcsec)
    assert 0 < mask.sum() < mask.size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_sky_ellipse_and_box_turn_from_west_through_north(kind: str, shape: str) -> None:
    wcs = make_wcs(kind)
    centre = SkyCoord(*wcs.all_pix2world(60.0, 55.0, 0), unit="deg")
    a, b, angle = (12.0, 4.0, 35.0)
    size = f'{a}",{b}"' if shape == "ellipse" else f'{2 * a}",{2 * b}"'
    mask = mask_of(f"icrs;{shape}({centre.ra.deg:.10f},{centre.dec.deg:.10f},{size},{angle})", wcs)
    sky = sky_grid(wcs)
    r = centre.separation(sky).arcsec
    # The angle 0 points west, position angle -90; both grow counter-clockwise on the sky as seen with east to the left.
    phase = centre.position_angle(sky).rad - np.deg2rad(angle - 90.0)
    along, across = r * np.cos(phase), r * np.sin(phase)
    if shape == "ellipse":
        expected = (along / a) ** 2 + (across / b) ** 2 <= 1
    else:
        expected = (np.abs(along) <= a) & (np.abs(across) <= b)
    assert np.array_equal(mask, expected)
    assert mask.sum() > 100


@pytest.mark.parametrize("kind", ["straight", "rotated", "flipped"])
@pytest.mark.parametrize(
    "text", ['ellipse(53.09,-27.84,12",4",35)', 'box(53.09,-27.84,20",8",35)', 'annulus(53.09,-27.84,3",9")']
)
def test_agrees_with_the_regions_package(kind: str, text: str) -> None:
    regions = pytest.importorskip("regions")
    wcs = make_wcs(kind)
    (shape,) = regions.Regions.parse(f"fk5;{text}".replace("fk5;", "icrs\n"), format="ds9")
    expected = shape.to_pixel(wcs).to_mask(mode="center").to_image(SHAPE).astype(bool)
    # Pixels whose centre lies on the outline may fall on either side: at most two.
    assert np.count_nonzero(expected ^ mask_of(f"icrs;{text}", wcs)) <= 2


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("physical\ncircle(50,50,10)", math.pi * 100.0),
        ("circle(50,50,10)", math.pi * 100.0),  # no coordinate system: physical, as in DS9
        ("image\npanda(50,50,0,90,1,5,20,1)", math.pi * 375.0 / 4.0),
        ("image\nepanda(50,50,0,90,1,5,5,20,20,1,0)", math.pi * 375.0 / 4.0),
        ("image\nbpanda(50.5,50.5,0,90,1,10,10,40,40,1,0)", 375.0),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_regions_package_skips_what_is_read_here(text: str, area: float) -> None:
    regions = pytest.importorskip("regions")
    assert len(regions.Regions.parse(text, format="ds9")) == 0
    assert np.count_nonzero(mask_of(text.replace("\n", ";"), make_wcs())) == pytest.approx(area, rel=0.05)


@pytest.mark.parametrize("frame", ["galactic", "fk4", "ecliptic"])
def test_other_frames_have_their_own_position_and_angle(frame: str) -> None:
    wcs = make_wcs("rotated")
    name = {"ecliptic": "barycentricmeanecliptic"}.get(frame, frame)
    centre = SkyCoord(RA, DEC, unit="deg").transform_to(name)
    lon, lat = centre.spherical.lon.deg, centre.spherical.lat.deg
    mask = mask_of(f'{frame};ellipse({lon:.10f},{lat:.10f},12",4",35)', wcs)
    sky = sky_grid(wcs).transform_to(name)
    r, phase = centre.separation(sky).arcsec, centre.position_angle(sky).rad - np.deg2rad(35.0 - 90.0)
    expected = (r * np.cos(phase) / 12.0) ** 2 + (r * np.sin(phase) / 4.0) ** 2 <= 1
    # fk4 has aberration terms that stretch 12 arcsec by 1e-4: a pixel on the outline may differ.
    assert np.count_nonzero(mask ^ expected) <= (2 if frame == "fk4" else 0)
    assert mask.sum() > 100


def test_image_circle_counts_centres() -> None:
    mask = mask_of("image;circle(11,21,1)", make_wcs())
    assert sorted(zip(*np.nonzero(mask), strict=True)) == [(19, 10), (20, 9), (20, 10), (20, 11), (21, 10)]


def test_image_box_and_ellipse_turn_from_x_counter_clockwise() -> None:
    mask = mask_of("image;box(51,51,21,3,90)", make_wcs())
    y, x = np.nonzero(mask)
    assert (y.min(), y.max(), x.min(), x.max()) == (40, 60, 49, 51)
    y, x = np.nonzero(mask_of("image;ellipse(51,51,20,2,45)", make_wcs()))
    assert np.polyfit(x, y, 1)[0] == pytest.approx(1.0, abs=0.05)  # a line at 45 degrees, cut into pixels


def test_polygons_even_odd_and_over_ra_zero() -> None:
    wcs = make_wcs()
    mask = mask_of("image;polygon(11,11,21,11,21,16,11,16)", wcs)
    y, x = np.nonzero(mask)
    assert (y.min(), y.max(), x.min(), x.max()) == (10, 14, 10, 19)
    wcs.wcs.crval = [0.0, 10.0]
    ra, dec = wcs.all_pix2world([40.23, 100.3, 80.1], [20.4, 30.2, 90.7], 0)
    sky = mask_of("icrs;polygon(" + ",".join(f"{a:.10f},{d:.10f}" for a, d in zip(ra, dec, strict=True)) + ")", wcs)
    pixels = mask_of("image;polygon(41.23,21.4,101.3,31.2,81.1,91.7)", wcs)
    assert np.array_equal(sky, pixels)
    assert sky.sum() == pytest.approx(0.5 * abs(60.07 * 70.3 - 9.8 * 39.87), rel=0.01)  # the area; the rest is the edge


def test_mixed_units_use_the_local_scale() -> None:
    wcs = make_wcs("rotated")
    assert np.array_equal(mask_of('image;circle(61,51,5")', wcs), mask_of("image;circle(61,51,10)", wcs))
    ra, dec = wcs.all_pix2world(60, 50, 0)
    on_sky = f"icrs;circle({ra:.10f},{dec:.10f},10.1p)"
    assert np.array_equal(mask_of(on_sky, wcs), mask_of("image;circle(61,51,10.1)", wcs))


def test_annulus_and_sector() -> None:
    wcs = make_wcs()
    ring, disc, hole = (
        mask_of(f"image;{text}", wcs) for text in ("annulus(61,51,5.2,9.3)", "circle(61,51,9.3)", "circle(61,51,5.2)")
    )
    assert np.array_equal(ring, disc & ~hole)
    quarter = mask_of("image;panda(61,51,0,90,1,5.2,9.3,1)", wcs)
    y, x = np.indices(SHAPE)
    assert np.array_equal(quarter, ring & (y >= 50) & (x >= 60))


def test_exclusion_applies_to_all_regions_of_the_file() -> None:
    wcs = make_wcs()
    mask = mask_of("image;-circle(61,51,3)\ncircle(61,51,8)\ncircle(63,51,8)", wcs)
    disc = mask_of("image;circle(61,51,8);circle(63,51,8)", wcs)
    assert np.array_equal(mask, disc & ~mask_of("image;circle(61,51,3)", wcs))
    assert not mask_of("image;-circle(61,51,3)", wcs).any()


@pytest.mark.parametrize(
    "text",
    ["image;circle(-50,10,20)", 'icrs;circle(53.3,-27.84,8")', 'icrs;circle(233.09,27.84,8")', "image;circle(1,1,0)"],
)
def test_regions_outside_the_image_enclose_no_pixel(text: str) -> None:
    for touch in (False, True):
        assert mask_of(text, make_wcs("sip"), touch=touch).sum() <= (1 if "1,1,0" in text and touch else 0)


def test_a_region_larger_than_the_image_covers_it() -> None:
    for text in ("image;circle(60,60,1000)", "icrs;circle(53.09,-27.84,0.2)", "icrs;circle(53.19,-27.84,0.3)"):
        assert mask_of(text, make_wcs("sip")).all()


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("circle(11,21,0.1)", {(20, 10)}),
        ("circle(11.5,21,0.1)", {(20, 10), (20, 11)}),
        ("circle(11,21,0.6)", {(20, 10), (19, 10), (21, 10), (20, 9), (20, 11)}),
        ("box(11,21,3,1,0)", {(20, 9), (20, 10), (20, 11)}),
        ("box(11,21,3.1,1,0)", {(20, 8), (20, 9), (20, 10), (20, 11), (20, 12)}),
        ("box(11.5,21.5,0.01,2,0)", {(y, x) for y in (20, 21) for x in (10, 11)}),
        ("panda(11,21,80,100,1,0,1.2,1)", {(20, 10), (21, 10)}),
    ],
)
def test_touch_counts_pixels_touched_even_partially(text: str, pixels: set[tuple[int, int]]) -> None:
    found = set(
        zip(*(axis.tolist() for axis in np.nonzero(mask_of(f"image;{text}", make_wcs(), touch=True))), strict=True)
    )
    assert found == pixels


@pytest.mark.parametrize("kind", KINDS)
def test_touch_on_the_sky_against_fine_sampling(kind: str) -> None:
    wcs = make_wcs(kind)
    centre = SkyCoord(*wcs.all_pix2world(60.3, 55.2, 0), unit="deg")
    touched = mask_of(f'icrs;circle({centre.ra.deg:.10f},{centre.dec.deg:.10f},6")', wcs, touch=True)
    n = 21
    offset = np.linspace(-0.5, 0.5, n)
    y, x = np.mgrid[40:72, 44:78]
    yy = y[..., None, None] + offset[:, None] + np.zeros(n)
    xx = x[..., None, None] + offset + np.zeros((n, 1))
    sky = SkyCoord(*wcs.all_pix2world(xx, yy, 0), unit="deg")
    nearest = sky.separation(centre).arcsec.min(axis=(-1, -2))
    # A pixel that the circle cuts by less than 0.04 pixel may be decided either way by the two samplings.
    clear = np.abs(nearest - 6.0) > 0.04 * PIXEL
    assert np.array_equal(touched[40:72, 44:78][clear], (nearest < 6.0)[clear])
    assert not touched[:40].any()


def test_footprints_keep_the_order_and_small_regions_on_demand() -> None:
    regions, _ = parse_regions(
        "image;circle(11.5,21.5,0.2) # text={a}\ncircle(31,31,2)\n-circle(33,31,1)\ncircle(-90,3,1)"
    )
    found = masks.footprints(regions, make_wcs(), SHAPE)
    assert [footprint.region.text for footprint in found] == ["a", "", ""]
    assert [int(footprint.inside.sum()) for footprint in found] == [
        0,
        11,
        0,
    ]  # 13 pixels less two of the excluded circle
    kept = masks.footprints(regions, make_wcs(), SHAPE, keep_small=True)
    assert [int(footprint.inside.sum()) for footprint in kept] == [4, 11, 0]
    assert kept[0].box in Box.of_shape(SHAPE)


def test_circles_for_monte_carlo() -> None:
    regions, _ = parse_regions('icrs;circle(53.09,-27.84,3")\nimage;box(11,21,6,8,0);-circle(1,1,1)')
    (y, x, radius), box = masks.circles(regions, make_wcs("rotated"))
    assert (y, x, radius) == pytest.approx((57.6, 69.3, 6.0), abs=1e-6)  # CRPIX less one; 3 arcsec of 0.5
    assert box == pytest.approx((20.0, 10.0, 5.0))


def test_grow_mask() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert masks.grow_mask(mask, 2.0).sum() == 13  # pixels within 2 of the centre
    assert np.array_equal(masks.grow_mask(mask, 0.0), mask)
    assert not masks.grow_mask(np.zeros((3, 3), dtype=bool), 5.0).any()


@pytest.mark.parametrize("filled", [0.0005, 0.02, 0.6, 0.999])
@pytest.mark.parametrize("radius", [0.7, 1.0, 2.5, 9.0])
def test_grow_mask_includes_all_pixels_within_the_distance(filled: float, radius: float) -> None:
    mask = np.random.default_rng(3).random((90, 70)) < filled
    mask[0, 0] = True
    within = distance_transform_edt(~mask) <= radius
    assert np.array_equal(masks.grow_mask(mask, radius), within)


def test_project_mask_loses_no_area_between_coarse_and_fine_grids() -> None:
    fine = make_wcs("rotated")
    coarse = fine.deepcopy()
    coarse.wcs.cd = fine.wcs.cd * 5.0
    coarse.wcs.crpix = (fine.wcs.crpix - 0.5) / 5.0 + 0.5
    coarse.wcs.set()
    mask = np.zeros((120, 140), dtype=bool)
    mask[12, 31] = True
    assert np.argwhere(masks.project_mask(mask, fine, coarse, (24, 28))).tolist() == [[2, 6]]
    block = np.zeros((24, 28), dtype=bool)
    block[2, 6] = True
    back = np.argwhere(masks.project_mask(block, coarse, fine, (120, 140)))
    assert (back.min(axis=0).tolist(), back.max(axis=0).tolist(), len(back)) == ([10, 30], [14, 34], 25)
    assert not masks.project_mask(np.zeros_like(mask), fine, coarse, (24, 28)).any()


def test_band_mask_counts_each_reason() -> None:
    image = np.zeros((4, 5))
    image[0, :2] = np.nan, np.inf
    weight = np.ones((4, 5))
    weight[0, 1], weight[1, 1], weight[2, 1] = 0.0, -1.0, np.nan
    bad = np.zeros((4, 5), dtype=bool)
    bad[3] = True
    mask, counts = masks.band_mask(image, weight=weight, regions={"bad": bad})
    assert counts == {"bad": 5, "not finite": 2, "not observed": 0, "zero weight": 3, "masked": 9, "pixels": 20}
    assert mask.sum() == 9
    assert masks.band_mask(image)[1] == {"not finite": 2, "not observed": 0, "masked": 2, "pixels": 20}


def test_unobserved_pixels_are_masked_and_counted() -> None:
    image = np.random.default_rng(1).normal(size=(50, 50))
    image[:10] = 0.0
    mask, counts = masks.band_mask(image)
    assert np.array_equal(mask, np.arange(50)[:, None] + np.zeros(50) < 10)
    assert counts["not observed"] == 500


def physical_wcs(matrix: list[list[float]], offset: list[float]) -> WCS:
    wcs = make_wcs()
    coordinates.set_physical_coordinates(wcs, np.array(matrix), np.array(offset))
    return wcs


def test_physical_coordinates_are_those_of_the_image_that_was_cut() -> None:
    # every second pixel, from pixel 201, 101 on: image = 0.5 physical - (100, 50)
    wcs = physical_wcs([[0.5, 0.0], [0.0, 0.5]], [-100.0, -50.0])
    assert np.array_equal(mask_of("physical;circle(260,200,24)", wcs), mask_of("image;circle(30,50,12)", wcs))
    assert masks.circles(parse_regions("physical;circle(260,200,24)")[0], wcs) == [(49.0, 29.0, 12.0)]
    assert np.array_equal(mask_of('physical;circle(260,200,6")', wcs), mask_of('image;circle(30,50,6")', wcs))
    assert np.array_equal(mask_of("image;circle(30,50,24p)", wcs), mask_of("image;circle(30,50,12)", wcs))
    touched = mask_of("physical;box(260,200,4,4,0)", wcs, touch=True)
    assert np.array_equal(touched, mask_of("image;box(30,50,2,2,0)", wcs, touch=True))


def test_physical_coordinates_are_image_coordinates_unless_given() -> None:
    wcs = make_wcs()
    assert np.array_equal(mask_of("physical;circle(30,50,12)", wcs), mask_of("image;circle(30,50,12)", wcs))


def test_physical_coordinates_of_an_image_turned_by_a_right_angle() -> None:
    wcs = physical_wcs([[0.0, 1.0], [-1.0, 0.0]], [0.0, 100.0])  # x = physical y, y = 100 - physical x
    assert np.array_equal(mask_of("physical;box(40,30,20,6,0)", wcs), mask_of("image;box(30,60,6,20,0)", wcs))


@pytest.mark.parametrize(("system", "frame"), [("ICRS", "fk5"), ("FK5", "icrs"), ("FK5", "fk5"), ("", "icrs")])
def test_a_region_is_converted_to_the_system_of_the_image(system: str, frame: str) -> None:
    wcs = make_wcs()
    wcs.wcs.radesys = system
    (circle,) = masks.circles([region(f'{frame};circle({RA},{DEC},3")')], wcs)
    own = system.lower() or "icrs"
    place = SkyCoord(RA, DEC, unit="deg", frame=frame).transform_to(own)
    x, y = wcs.all_world2pix(place.ra.deg, place.dec.deg, 0)
    # 1e-5 pixel: 5 microarcsec, against 0.03 pixel between the systems
    assert circle[:2] == pytest.approx((float(y), float(x)), abs=1e-5)


# Many large regions --------------------------------------------------------------------------------------------------


def large_circles(number: int) -> list[Region]:
    rng = np.random.default_rng(5)
    centres = rng.normal([RA, DEC], 1e-3, (number, 2))
    return [
        Region("circle", "icrs", ((ra, dec),), ((3600.0, "arcsec"),) * 2, line=i + 2)
        for i, (ra, dec) in enumerate(centres)
    ]


def test_ten_thousand_large_circles_are_masked_at_once() -> None:
    assert masks.region_mask(large_circles(10_000), make_wcs(), SHAPE).all()


def test_ten_thousand_large_circles_are_no_sources() -> None:
    # 100 million pixels are 5953 times this image of 120 x 140
    with pytest.raises(RegionError, match=r"^m.reg, line 5954: the regions up to here cover 5953 times the image"):
        masks.footprints(large_circles(10_000), make_wcs(), SHAPE, name="m.reg")


def test_a_mask_is_that_of_the_footprints_of_its_regions() -> None:
    text = (
        "image\ncircle(60,60,30)\n-box(60,60,20,10,30)\nellipse(90,50,40,10,20)\n-circle(200,60,70)\nannulus(30,30,5,9)"
    )
    regions = parse_regions(text)[0]
    for touch in (False, True):
        expected = np.zeros(SHAPE, dtype=bool)
        for footprint in masks.footprints(regions, make_wcs(), SHAPE, touch=touch):
            expected[footprint.box.slices] |= footprint.inside
        assert expected.sum() > 1000 and (masks.region_mask(regions, make_wcs(), SHAPE, touch=touch) == expected).all()
