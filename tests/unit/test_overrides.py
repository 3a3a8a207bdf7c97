from __future__ import annotations

import pytest
from unblend.domain import Box
from unblend.errors import OverrideError
from unblend.fit_result import sersic_block
from unblend.imfit_text import Parameter
from unblend.overrides import apply_override, known_functions, parse_override
from unblend.sersic import Sersic

BOX = Box(100, 200, 150, 250)
AUTO = sersic_block(Sersic(125.0, 225.0, 30.0, 0.3, 1.5, 10.0, 4.0), 7, move=3.0, r_e_range=(0.02, 20.0))


def applied(text):
    override = parse_override(text, "overrides/7.dat")
    assert override is not None
    return apply_override(override, AUTO, 500.0, BOX)


def test_parameter_lines_change_the_automatic_start_only_where_they_speak():
    (block,) = applied("n 4 fixed   # de Vaucouleurs\nr_e 5 1,10\nell 0.5\nX0 227.5\n")
    function = block.functions[0]
    assert function["n"] == Parameter("n", 4.0, fixed=True)
    assert function["r_e"] == Parameter("r_e", 5.0, 1.0, 10.0)
    assert function["ell"] == Parameter("ell", 0.5, 0.0, 0.95)
    assert function["I_e"] == AUTO.functions[0]["I_e"] and block.y0 == AUTO.y0
    assert block.x0 == Parameter("X0", 226.5, 222.0, 228.0)  # 1-based in the file
    assert block.id == 7


def test_automatic_limits_open_for_the_users_value():
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
def test_a_file_that_says_nothing_is_no_override(text):
    assert parse_override(text, "overrides/7.dat") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n 4\nre 3", "line 2: expected a parameter of the automatic Sersic, found 're'; did you mean r_e"),
        ("qqq 3", "valid names: X0, Y0, PA, ell, n, I_e, r_e"),
        ("FUNCTION sersic", "line 1: expected a function of IMFIT, found 'sersic'; did you mean Sersic"),
        ("FUNCTION Sersic\nh 3", "line 2: expected a parameter of Sersic, found 'h'"),
        ("FUNCTION Exponential\nPA 3", "Exponential lacks ell, I_0, h"),
        ("n 4\nn 5", "line 2: n is given twice"),
        ("n 4\nFUNCTION Sersic", "line 1: expected FUNCTION before 'n'"),
        ("FUNCTION Sersic\nX0 3", "line 2: expected FUNCTION after X0, Y0"),
        ("FUNCTION FlatSky\nI_sky 0", "sky functions only"),
        ("n x", "line 1: expected a line such as"),
    ],
)
def test_mistakes_are_explained(text, message):
    with pytest.raises(OverrideError, match=f"overrides/7.dat.*{message}"):
        parse_override(text, "overrides/7.dat")


def test_a_position_in_pixels_of_a_cutout_is_recognised():
    with pytest.raises(OverrideError, match=r"expected X0 in 201…250 and Y0 in 101…150 .* found 25, 126"):
        applied("X0 25\n")


def test_imfits_functions_are_known():
    assert known_functions()["Sersic"] == ("PA", "ell", "n", "I_e", "r_e")
    assert known_functions()["PointSource"] == ("I_tot",)
