from __future__ import annotations

import pytest
from unblend.core.errors import OverrideError
from unblend.core.types import Box
from unblend.fits.imfit_config import Parameter
from unblend.fits.override_groups import origin_line
from unblend.fits.overrides import apply_override, known_functions, parse_override
from unblend.fits.result import sersic_block
from unblend.io.files import read_text
from unblend.models.sersic import Sersic

BOX = Box(100, 200, 150, 250)
AUTO = sersic_block(Sersic(125.0, 225.0, 30.0, 0.3, 1.5, 10.0, 4.0), 7, max_offset=3.0, r_e_range=(0.02, 20.0))


def applied(text):
    override = parse_override(text, "overrides/7.dat")
    assert override is not None
    return apply_override(override, AUTO, 500.0, BOX)


def test_parameter_lines_change_only_their_own_parameters():
    (block,) = applied("n 4 fixed   # de Vaucouleurs\nr_e 5 1,10\nell 0.5\nX0 227.5\n")
    function = block.functions[0]
    assert function["n"] == Parameter("n", 4.0, fixed=True)
    assert function["r_e"] == Parameter("r_e", 5.0, 1.0, 10.0)
    assert function["ell"] == Parameter("ell", 0.5, 0.0, 0.95)
    assert function["I_e"] == AUTO.functions[0]["I_e"] and block.y0 == AUTO.y0
    assert block.x0 == Parameter("X0", 226.5, 222.0, 228.0)  # 1-based in the file
    assert block.id == 7


def test_automatic_limits_are_extended_to_the_users_value():
    (block,) = applied("r_e 30")
    assert block.functions[0]["r_e"] == Parameter("r_e", 30.0, 0.02, 30.0)


def test_whole_functions_with_automatic_centre_and_missing_values():
    (block,) = applied("FUNCTION Sersic\nr_e 1\nn 4 fixed\nFUNCTION Exponential\nPA 1\nell 0.1 0,1\nI_0 9\nh 3\n")
    assert [function.name for function in block.functions] == ["Sersic", "Exponential"]
    assert [p.name for p in block.functions[0].parameters] == ["PA", "ell", "n", "I_e", "r_e"]
    assert block.functions[0]["PA"].value == 30.0 and block.functions[0]["r_e"].upper == 20.0
    assert block.functions[1]["h"] == Parameter("h", 3.0)
    assert block.x0 == AUTO.x0 and block.id == 7


def test_several_centres():
    first, second = applied("X0 226\nY0 126\nFUNCTION Sersic\nX0 230 229,231\nFUNCTION PointSource\n")
    assert first.x0.value == 225.0 and second.x0 == Parameter("X0", 229.0, 228.0, 230.0)
    assert second.y0 == AUTO.y0
    assert second.functions[0]["I_tot"] == Parameter("I_tot", 500.0, 0.0, 5e6)


def test_a_best_fit_file_is_an_override_and_its_sky_and_options_are_ignored():
    (block,) = applied(
        "# chi^2 1.02\nGAIN 2\nX0 226 # +/- 0.1\nY0 126 # +/- 0.1\nFUNCTION Sersic\nPA 3 # +/- 1\nell 0.2 # +/- 0.1\n"
        "n 2 # +/- 0.2\nI_e 1 # +/- 0.1\nr_e 3 # +/- 0.1\nX0 1\nY0 1\nFUNCTION FlatSky\nI_sky 0.1 # +/- 0.01\n"
    )
    assert len(block.functions) == 1
    assert block.functions[0]["n"] == Parameter("n", 2.0, 0.1, 8.0)


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "GAIN 3\n"])
def test_a_file_without_parameters_is_not_an_override(text):
    assert parse_override(text, "overrides/7.dat") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n 4\nre 3", "line 2: expected a parameter of the automatic Sersic, found 're'; did you mean r_e"),
        ("qqq 3", "valid names: X0, Y0, PA, ell, n, I_e, r_e"),
        ("FUNCTION sersic", "line 1: expected a function of IMFIT, found 'sersic'; did you mean Sersic"),
        ("FUNCTION Sersic\nh 3", "line 2: expected a parameter of Sersic, found 'h'"),
        ("FUNCTION Exponential\nPA 3", "Exponential lacks ell, I_0, h; give a value for each"),
        ("n 4\nn 5", "line 2: n is given twice"),
        ("n 4\nFUNCTION Sersic", "line 1: expected FUNCTION before 'n'"),
        ("FUNCTION Sersic\nX0 3", "line 2: expected FUNCTION after X0, Y0"),
        ("FUNCTION FlatSky\nI_sky 0", "found only sky functions"),
        ("n x", "line 1: expected a line such as"),
    ],
)
def test_mistakes_are_explained(text, message):
    with pytest.raises(OverrideError, match=f"overrides/7.dat.*{message}"):
        parse_override(text, "overrides/7.dat")


def test_a_position_off_the_cutout_is_an_error():
    with pytest.raises(OverrideError, match=r"expected X0 in 201…250 and Y0 in 101…150 .* found 25, 126"):
        applied("X0 25\n")


def test_functions_of_imfit():
    assert known_functions()["Sersic"] == ("PA", "ell", "n", "I_e", "r_e")
    assert known_functions()["PointSource"] == ("I_tot",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n 4\nell 1", "line 2: expected 0 ≤ ell < 1 .*found 1"),
        ("ell -0.1", "line 1: expected 0 ≤ ell < 1"),
        ("r_e 0", "line 1: expected r_e above 0, found 0"),
        ("r_e 5 10,1", "line 1: expected a lower limit below the upper one"),
        ("r_e 50 1,10", "line 1: expected a value inside its limits 1,10"),
        ("FUNCTION Exponential\nPA 3\nell 0.2\nI_0 1\nh -1", "line 5: expected h above 0"),
        ("GROUP alon\nn 4", "line 1: expected 'GROUP alone'"),
    ],
)
def test_values_without_a_profile_are_an_error(text, message):
    with pytest.raises(OverrideError, match=f"overrides/7.dat, {message}"):
        parse_override(text, "overrides/7.dat")


def test_limits_without_a_profile_are_changed():
    (block,) = applied("ell 0.5 0,1\nr_e 3 0,10\n")
    assert block.functions[0]["ell"] == Parameter("ell", 0.5, 0.0, 0.99)
    assert block.functions[0]["r_e"] == Parameter("r_e", 3.0, 1e-3, 10.0)


def test_a_file_of_directives_only_is_not_an_override():
    assert parse_override("GROUP with 3\n", "overrides/7.dat") is None


# What imfit 1.9 writes, with the labels of our configuration: tabs, errors, no limits, no other comments.
IMFIT_HEAD = "# Best-fit model results for imfit v1.9\n#   generated by the following command:\n#   imfit img.fits\n\n"
SERSIC_OF = (
    "X0\t\t{x} # +/- 0.01\nY0\t\t{y} # +/- 0.01\nFUNCTION Sersic{label}\nPA\t\t 30 # +/- 1\nell\t\t0.2 # +/- 0.01\n"
    "n\t\t{n} # +/- 0.1\nI_e\t\t9 # +/- 0.1\nr_e\t\t3 # +/- 0.1\n\n"
)
SKY = "X0 1 # +/- 0\nY0 1 # +/- 0\nFUNCTION FlatSky\nI_sky 0.1 # +/- 0.01\n"
CENTRES = {7: (125.0, 225.0), 9: (135.0, 212.0)}


def best_fit(labels=("", ""), head=IMFIT_HEAD):
    """Return a file of two sources, the first at (35, 12) of the cutout and the second at (25, 25), 0-based."""
    first = SERSIC_OF.format(x=13, y=36, n=1.5, label=labels[0])
    return head + first + SERSIC_OF.format(x=26, y=26, n=2.5, label=labels[1]) + SKY


@pytest.mark.parametrize("labels", [("", ""), ("   # LABEL ID=9", "   # LABEL ID=7")])
def test_only_the_source_itself_is_taken_from_the_best_fit_file_of_a_group(labels):
    override = parse_override(best_fit(labels), "overrides/7.dat").on_detection_image(BOX).restricted_to(7, CENTRES)
    (block,) = apply_override(override, AUTO, 500.0, BOX)
    assert (block.y0.value, block.x0.value) == (125.0, 225.0)
    assert block.functions[0]["n"] == Parameter("n", 2.5, 0.1, 8.0) and block.id == 7


def test_the_origin_in_the_first_line_gives_the_position_of_the_cutout():
    # the file was written for a cutout with the first pixel (90, 190); that of the present group is not used
    text = best_fit(("  # LABEL ID=9", "  # LABEL ID=7"), f"# {origin_line(90, 190)}\n")
    (block,) = applied(text.replace("X0\t\t26", "X0\t\t36").replace("Y0\t\t26", "Y0\t\t36"))
    assert (block.y0.value, block.x0.value) == (125.0, 225.0)


def test_positions_in_pixels_of_the_cutout():
    (block,) = applied("PIXELS cutout\nX0 26 24,28\n")
    assert block.x0 == Parameter("X0", 225.0, 223.0, 227.0) and block.y0 == AUTO.y0


def test_a_file_of_other_sources_is_an_error():
    with pytest.raises(OverrideError, match=r"expected the functions of source 7 \(# ID=7\), found those of \[8, 9\]"):
        parse_override(best_fit(("  # LABEL ID=9", "  # LABEL ID=8")), "overrides/7.dat")
    override = parse_override(best_fit(), "overrides/7.dat").on_detection_image(BOX)
    with pytest.raises(OverrideError, match=r"none of the 2 centres .* nearest to source 7\. Mark .* # ID=7"):
        override.restricted_to(7, {**CENTRES, 7: (148.0, 248.0), 8: (126.0, 226.0)})


def test_centres_without_the_header_of_imfit_all_belong_to_the_source():
    override = parse_override("X0 226\nY0 126\nFUNCTION Sersic\nX0 213\nY0 136\nFUNCTION Sersic\n", "overrides/7.dat")
    assert len(override.on_detection_image(BOX).restricted_to(7, CENTRES).blocks) == 2


# Files from elsewhere ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_tabs_and_ends_of_lines(tmp_path, encoding, end):
    path = tmp_path / "7.dat"
    path.write_bytes(end.join(["# café", "n\t4\tfixed", "r_e\t5\t1,10", ""]).encode(encoding))
    found = {p.name: p for p in parse_override(read_text(path), str(path)).parameters}
    assert (found["n"].value, found["n"].fixed, found["r_e"].lower, found["r_e"].upper) == (4.0, True, 1.0, 10.0)


LONG = "x" * 180_000


@pytest.mark.parametrize(
    "line",
    [LONG, f"n {LONG}", f"n 4 {LONG}", f"FUNCTION {LONG}", f"GROUP {LONG}", f"PIXELS {LONG}", f"{LONG} 1",
     "n " * 90_000, "n 4 # " + "ID=" * 60_000, "GROUP with " + "9" * 5000, "GROUP with ²", "n 1e400",
     "n nan", "r_e inf", "r_e 1e300", "r_e 1 1,1e400"],
    ids=range(16),
)  # fmt: skip
def test_lines_that_cannot_be_read(line):
    if line.startswith("n 4 #"):
        assert parse_override(line, "7.dat").parameters[0].value == 4.0
    else:
        with pytest.raises(OverrideError, match=r"^7.dat, line 2: ") as error:
            parse_override(f"# first\n{line}", "7.dat")
        assert "\n" not in str(error.value) and len(str(error.value)) < 700


def test_free_components_need_two_functions():
    two = parse_override("COMPONENTS free\nFUNCTION Sersic\nn 4 fixed\nFUNCTION Sersic\nn 1 fixed\n", "7.dat")
    assert two is not None and two.free_components
    for text in ("COMPONENTS free\nFUNCTION Sersic\n", "COMPONENTS free\nn 4\n", "n 4\nCOMPONENTS free\n"):
        with pytest.raises(OverrideError, match=r"7\.dat: COMPONENTS free needs two or more lines FUNCTION"):
            parse_override(text, "7.dat")
