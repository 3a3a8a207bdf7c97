"""DS9 region files: every way to write a circle, the other shapes, errors with their line, digests, round trip."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from unblend.core.errors import RegionError
from unblend.core.types import Region
from unblend.io.region_lines import split_statements
from unblend.io.regions import parse_regions, read_regions, region_digest, write_regions

HEADER = """# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 highlite=1 dash=0 include=1 source=1
"""


def parse(text: str) -> list[Region]:
    return parse_regions(text, "x.reg")[0]


def only(text: str) -> Region:
    (region,) = parse(text)
    return region


@pytest.mark.parametrize(
    "text",
    [
        'fk5\ncircle(53.0875,-27.84,1.5")',
        'fk5;circle(53.0875,-27.84,1.5")',
        'fk5 ; circle( 53.0875 , -27.84 , 1.5" ) # color=red text={}',
        'FK5\nCIRCLE(53.0875d,-27.84d,1.5")',
        'J2000; circle 53.0875 -27.84 1.5"',
        "fk5;circle(3:32:21.0,-27:50:24.0,0.025')",
        'fk5;circle(3h32m21.0s,-27d50m24.0s,1.5")',
        f"fk5;circle(53.0875,-27.84,{1.5 / 3600:.12f})",
        f"fk5;circle(53.0875,-27.84,{1.5 / 3600:.12f}d)",
        f"fk5;circle({math.radians(53.0875):.14f}r,{math.radians(-27.84):.14f}r,{math.radians(1.5 / 3600):.6e}r)",
        'fk5;+circle(53.0875,-27.84,1.5");',
        '\ufefffk5\r\ncircle(53.0875,-27.84,1.5")\r\n',
        "fk5;circle(53.0875 -27.84 1.5'')",
        'fk5 circle(53.0875,-27.84,1.5")',
        HEADER + 'fk5\ncircle(53.0875,-27.84,1.5") # color=#ff0000 width=2 tag={a; b}',
    ],
)
def test_one_circle_in_many_spellings(text: str) -> None:
    region = only(text.removeprefix("\ufeff"))
    assert (region.kind, region.frame, region.include, region.text) == ("circle", "fk5", True, "")
    # 1e-9 degrees: a few microarcsec, the digits that the spellings above carry.
    assert region.points[0] == pytest.approx((53.0875, -27.84), abs=1e-9)
    assert region.outer[0][0] == pytest.approx(1.5, abs=1e-5)
    assert region.outer[0] == region.outer[1]
    assert region.outer[0][1] == "arcsec"


@pytest.mark.parametrize("frame", ["image\n", "IMAGE;", ""])
def test_pixels_become_zero_based(frame: str) -> None:
    region = only(f"{frame}circle(11,21,3)")
    assert (region.frame, region.points, region.outer[0]) == ("image", ((20.0, 10.0),), (3.0, "pixel"))


def test_physical_coordinates_are_kept_as_such() -> None:
    region = only("physical\ncircle(11,21,3)")
    assert (region.frame, region.points, region.outer[0]) == ("physical", ((20.0, 10.0),), (3.0, "physical"))
    assert only('image;circle(11p,21p,2")').frame == "physical"


def test_a_missing_coordinate_system_gives_a_warning() -> None:
    _, remarks = parse_regions("circle(1,2,3)", "x.reg")
    assert remarks == ["x.reg, line 1: no coordinate system is given; image pixels are assumed, as in DS9."]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('image;circle(1,1,2")', (2.0, "arcsec")),
        ("fk5;circle(1,1,2p)", (2.0, "physical")),
        ("physical;circle(1,1,2i)", (2.0, "pixel")),
        ("fk5;circle(1,1,2i)", (2.0, "pixel")),
    ],
)
def test_sizes_keep_their_own_unit(text: str, size: tuple[float, str]) -> None:
    assert only(text).outer[0] == size


def test_pixel_position_under_a_sky_frame() -> None:
    region = only('fk5;circle(11i,21i,2")')
    assert (region.frame, region.points) == ("image", ((20.0, 10.0),))


@pytest.mark.parametrize(
    ("word", "frame"),
    [("icrs", "icrs"), ("b1950", "fk4"), ("galactic", "galactic"), ("ecliptic", "barycentricmeanecliptic")],
)
def test_sky_frames(word: str, frame: str) -> None:
    assert only(f'{word};circle(10,20,1")').frame == frame


def test_sexagesimal_longitude_is_degrees_in_galactic_coordinates_and_hours_on_the_equator() -> None:
    assert only('galactic;circle(10:30:00,-0:30:00,1")').points[0] == (10.5, -0.5)
    assert only('icrs;circle(10:30:00,-0:30:00,1")').points[0] == (157.5, -0.5)


def test_a_frame_applies_until_the_next_one_and_statements_can_share_a_line() -> None:
    regions = parse('fk5;circle(1,2,3");box(1,2,3",4",5)\nimage;circle(1,2,3);-circle(4,5,6)\ncircle(7,8,9)')
    assert [region.frame for region in regions] == ["fk5", "fk5", "image", "image", "image"]
    assert [region.include for region in regions] == [True, True, True, False, True]
    assert [region.line for region in regions] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("text={two; words # here}", "two; words # here"),
        ("color=red text = {John's} width=2", "John's"),
        ("text='a \"b\"'", 'a "b"'),
        ('text="it\'s"', "it's"),
        ("tag={x} text={7}", "7"),
        ("text={}", ""),
        ("John's galaxy", ""),
    ],
)
def test_texts(spelling: str, text: str) -> None:
    first, second = parse(f"image;circle(1,2,3) # {spelling};circle(4,5,6)")
    assert first.text == text
    assert second.points == ((4.0, 3.0),)


def test_exclusion_by_sign_and_by_property() -> None:
    text = "image\n-circle(1,1,1)\n!circle(1,1,1)\ncircle(1,1,1) # include=0\n- box(1,1,1,1,0)"
    assert [region.include for region in parse(text)] == [False] * 4
    first, second = parse("global include=0\nimage\ncircle(1,1,1)\n+circle(1,1,1)")
    assert (first.include, second.include) == (False, True)


def test_shapes() -> None:
    assert only("image;ellipse(1,1,5,3,30)").outer == ((5.0, "pixel"), (3.0, "pixel"))
    assert only("image;ellipse(1,1,5,3)").angle == 0.0
    box = only("image;rotbox(1,1,6,4,1.5707963r)")
    assert (box.kind, box.outer) == ("box", ((3.0, "pixel"), (2.0, "pixel")))
    assert box.angle == pytest.approx(90.0, abs=1e-5)  # the seven digits written above
    polygon = only("image;polygon(1,1,5,1,5,4)")
    assert polygon.points == ((0.0, 0.0), (0.0, 4.0), (3.0, 4.0))


@pytest.mark.parametrize(
    "text",
    [
        "annulus(1,1,2,4)",
        "annulus(1,1,2,4,n=3)",
        "annulus(1,1,2,3,4)",
        "annulus(1,1,4,2)",
        "annulus 1 1 2 4",
        "panda(1,1,0,360,4,2,4,1)",
    ],
)
def test_annuli(text: str) -> None:
    region = only(f"image;{text}")
    assert (region.kind, region.inner[0][0], region.outer[0][0], region.sector) == ("circle", 2.0, 4.0, None)


def test_annuli_of_ellipses_and_boxes() -> None:
    ellipse = only("image;ellipse(1,1,2,1,4,2,6,3,30)")
    assert (ellipse.inner, ellipse.outer) == (((2.0, "pixel"), (1.0, "pixel")), ((6.0, "pixel"), (3.0, "pixel")))
    assert ellipse.angle == 30.0
    box = only("image;box(1,1,2,1,4,2)")
    assert (box.inner[0][0], box.outer[1][0], box.angle) == (1.0, 1.0, 0.0)


def test_pandas() -> None:
    assert only("image;panda(1,1,350,40,1,0,3,1)").sector == (350.0, 400.0)
    assert only("image;panda(1,1,350,40,1,0,3,1)").inner == ()
    region = only("image\n# epanda(1,1,0,90,1,1,2,3,6,1,45) # epanda=(0 90)(1 2 3 6)(45)")
    assert (region.kind, region.sector, region.angle, region.outer[1][0]) == ("ellipse", (0.0, 90.0), 45.0, 6.0)
    assert only("image\n# bpanda(1,1,0,90,1,1,2,4,6,1)").outer == ((2.0, "pixel"), (3.0, "pixel"))


def test_composites_give_their_text_and_sign_to_their_members() -> None:
    text = "image\n# composite(5,5,0) || composite=1 text={pair}\ncircle(1,1,1) ||\ncircle(9,9,1)\ncircle(2,2,2)"
    assert [region.text for region in parse(text)] == ["pair", "pair", ""]


def test_comments_and_commented_regions_are_ignored() -> None:
    assert (
        parse("# circle(1,2,3)\n#image;circle(1,2,3)\n\n   \n# a comment; circle(1,2,3)\nimage # circle(1,2,3)") == []
    )


def test_shapes_without_area_are_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.reg"
    path.write_text(
        "image\npoint(1,1) # point=x\nline(1,1,2,2)\ncircle(1,1,1)\n# vector(1,1,5,0)\n"
        "# text(1,1) text={a;b}\ncircle point 1 1"
    )
    with caplog.at_level(logging.WARNING):
        assert len(read_regions(path)) == 1
    assert len(caplog.messages) == 5
    assert caplog.messages[0] == f"{path}, line 2: a point encloses no area and is ignored."


def test_a_size_of_a_degree_without_unit_gives_a_warning() -> None:
    _, remarks = parse_regions("fk5;circle(53,-27,1.5)", "x.reg")
    assert remarks == ['x.reg, line 1: the size 1.5 is in degrees on the sky; for arcsec write 1.5".']


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("circle(1,2)", r"expected circle\(x, y, radius\), found 2 numbers"),
        ("circle(1,2,3,4)", "found 4 numbers"),
        ("circle(1,2,3", "in parentheses"),
        ("circle(1,2,3)-circle(1,2,1)", "in parentheses"),
        ("circel(1,2,3)", "expected one of circle, annulus"),
        ("circle(a,2,3)", "expected a pixel position, found 'a'"),
        ('circle(3:32:21,-27:50:24,1")', "add a line with fk5"),
        ("circle(1,2,-3)", "expected a size"),
        ("circle(1,2,nan)", "expected a size"),
        ("ellipse(1,2,3,4,north)", "expected an angle"),
        ("polygon(1,2,3,4,5)", "found 5 numbers"),
        ("<html>", "expected a coordinate system or a shape"),
        ("linear;circle(1,2,3)", "linear is not supported"),
        ("# format: degrees (fk5)", "the file is not in the format ds9"),
        ('<?xml version="1.0"?>', "the file is not in the format ds9"),
        ('fk5;circle(3:61:21,-27:50:24,1")', "minutes and seconds below 60"),
        ('fk5;circle(10,-91,1")', "latitude between -90 and 90"),
        ('fk5;circle(1e300,-9,1")', "longitude between -360 and 360"),
        ('fk5;circle(25:00:00,-9,1")', "longitude between -360 and 360 degrees, found 375"),
        ('fk5;circle(10p,-9,1")', "expected a sky position"),
    ],
)
def test_errors_name_file_line_and_expectation(text: str, problem: str) -> None:
    with pytest.raises(RegionError, match=rf"x\.reg, line 3: `.*` is invalid: .*{problem}.*\. Correct or remove"):
        parse(f"# header\nimage\n{text}\n")


def test_missing_file_is_an_empty_list(tmp_path: Path) -> None:
    assert read_regions(tmp_path / "none.reg") == []


def digest(tmp_path: Path, text: str) -> str | None:
    path = tmp_path / "a.reg"
    path.write_text(text)
    return region_digest(path)


def test_the_digest_depends_only_on_the_regions(tmp_path: Path) -> None:
    reference = digest(tmp_path, 'fk5\ncircle(53.0875,-27.84,1.5") # text={7}')
    assert reference is not None
    for same in (
        HEADER + '\n\n# a remark\nfk5\ncircle(53.0875,-27.84,1.5") # color=red text={7}\r\n',
        'fk5;circle(3:32:21,-27:50:24,1.5") # text={7}\npoint(1,1)',
    ):
        assert digest(tmp_path, same) == reference
    for other in (
        'fk5\ncircle(53.0875,-27.84,1.6") # text={7}',
        'fk5\ncircle(53.0875,-27.84,1.5") # text={8}',
        'fk5\n-circle(53.0875,-27.84,1.5") # text={7}',
        'fk4\ncircle(53.0875,-27.84,1.5") # text={7}',
    ):
        assert digest(tmp_path, other) not in (reference, None)


def test_digest_of_nothing_is_none(tmp_path: Path) -> None:
    assert region_digest(tmp_path / "none.reg") is None
    assert digest(tmp_path, HEADER) is None


def test_the_reader_needs_no_heavy_import_and_is_fast(tmp_path: Path) -> None:
    path = tmp_path / "a.reg"
    path.write_text(
        "fk5\n" + "\n".join(f'circle(3:32:{i % 60:02d}.5,-27:50:24,1.5") # text={{{i}}}' for i in range(1000))
    )
    code = "import sys, unblend.io.regions; sys.exit('regions' in sys.modules or 'astropy' in sys.modules)"
    scripts = str(Path(__file__).parents[3] / "scripts")
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": scripts}, check=False).returncode == 0
    start = time.process_time()
    assert region_digest(path) is not None
    assert time.process_time() - start < 1.0  # processor time; 0.05 s measured


def test_written_regions_are_read_back(tmp_path: Path) -> None:
    arcsec, pixel = (1.5, "arcsec"), (3.0, "pixel")
    regions = [
        Region("circle", "icrs", ((53.0875, -27.84),), (arcsec, arcsec), text="7", line=4),
        Region("ellipse", "icrs", ((53.0, -27.0),), (arcsec, (0.5, "arcsec")), angle=30.0, line=5),
        Region("box", "image", ((4.0, 9.0),), (pixel, pixel), angle=10.0, include=False, line=7),
        Region("circle", "image", ((4.0, 9.0),), (pixel, pixel), ((1.0, "pixel"), (1.0, "pixel")), line=8),
        Region("polygon", "image", ((0.0, 0.0), (0.0, 4.0), (3.0, 4.0)), line=9),
        Region("circle", "physical", ((4.0, 9.0),), ((3.0, "physical"), (3.0, "physical")), line=11),
    ]
    path = tmp_path / "new" / "a.reg"
    write_regions(path, regions, color="cyan")
    assert read_regions(path) == regions
    assert [item.name for item in path.parent.iterdir()] == ["a.reg"]


def test_sectors_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sectors cannot be written"):
        write_regions(tmp_path / "a.reg", parse("image;panda(1,1,0,90,1,0,3,1)"))
    assert not (tmp_path / "a.reg").exists()


# Files from elsewhere ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_ends_of_lines(tmp_path, encoding, end):
    path = tmp_path / "x.reg"
    path.write_bytes(end.join(["# café", "fk5", 'circle(53,\t-27,\t1.5") # text={é}', ""]).encode(encoding))
    (region,) = read_regions(path)
    assert (region.text, region.outer[0], region.line) == ("é", (1.5, "arcsec"), 3)


def test_a_binary_file(tmp_path):
    (tmp_path / "x.reg").write_bytes(b"SIMPLE\0\1\2")
    with pytest.raises(RegionError, match=r"x.reg is not a text file; expected UTF-8 text. Save it as plain text."):
        read_regions(tmp_path / "x.reg")


def test_a_folder(tmp_path):
    (tmp_path / "x.reg").mkdir()
    assert read_regions(tmp_path / "x.reg") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('fk5;circle(53,-27,1e300")', "expected a size of at most 180 degrees, found 1e300"),
        ("fk5;circle(53,-27,181)", "expected a size of at most 180 degrees, found 181 .for arcsec write 181"),
        ("fk5;circle(53,-27,1e999)", "expected a size of at most 180 degrees"),
        ("image;circle(5,5,1e8)", "expected a size of at most 10000000 pixels, found 1e8"),
        ("fk5;circle(53,-27,1e300i)", "expected a size of at most 10000000 pixels"),
        ("image;circle(1e300,5,1)", "expected a pixel position of at most 10000000, found 1e300"),
        ("fk5;circle(nan,-27,1)", "expected a sky position in degrees or as 03:32:28.1, found 'nan'"),
        ("fk5;circle(53,-27,nan)", "expected a size such as"),
        ("fk5;circle(53,-27,-1)", "expected a size such as"),
        ("fk5;polygon(53,-27,54,-27)", "expected polygon.x1, y1, x2, y2, x3, y3, ...., found 4 numbers"),
        ("fk6;circle(53,-27,1)", "or a system .image, physical, icrs, fk5, fk4, galactic, ecliptic., found 'fk6'"),
        ("fk5;heart(53,-27,1)", "expected one of circle, .*, found 'heart'"),
    ],
)
def test_values_that_cannot_be(text, problem):
    with pytest.raises(RegionError, match=rf"^x.reg, line 1: .*{problem}") as error:
        parse(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


LONG = 180_000


@pytest.mark.parametrize(
    "text",
    [
        "a" * LONG,
        "circle(" + "1" * LONG + "x,1,1)",
        "circle(1:2:" + "1" * LONG + "x,1,1)",
        "circle" + " " * LONG + "x",
        "#" + " " * LONG + "composite",
        "circle(1,1,1) # " + "={" * (LONG // 2),
        "circle(1,1,1) # " + "a=" * (LONG // 2),
        "circle(1,1,1) # " + "a" * LONG,
        "circle(1,1,1) # text={" + "x" * LONG + "}",
        "global " + "color=" * (LONG // 6),
        ";" * LONG,
        "+" * LONG,
        "(" * LONG,
        "n = " * (LONG // 4),
        "circle(1,1,1) # text={" + 'a="' * (LONG // 3),
    ],
    ids=range(15),
)
def test_long_lines_are_read_or_refused(text):
    try:
        parse(f"image\n{text}")
    except RegionError as error:
        assert str(error).startswith("x.reg, line 2: ") and len(str(error)) < 400


def test_a_polygon_with_thousands_of_corners():
    numbers = ",".join(f"{100 + 50 * math.cos(i / 1000):.3f},{100 + 50 * math.sin(i / 1000):.3f}" for i in range(6283))
    assert len(numbers) > 90_000 and len(only(f"image\npolygon({numbers})").points) == 6283


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a # x={1;2}; b", [("a ", " x={1;2}"), (" b", "")]),
        ("a # x={1;b", [("a ", " x={1"), ("b", "")]),
        ("global x='a;b' y=\"c\"; c # ={;}", [("global", " x='a;b' y=\"c\""), (" c ", " ={;}")]),
        ("a;b", [("a", ""), ("b", "")]),
        ("", []),
    ],
)
def test_the_statements_of_a_line(line, expected):
    assert list(split_statements(line)) == expected
