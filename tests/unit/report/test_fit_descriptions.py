from __future__ import annotations

import math

import pytest
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.result import GroupFit, MemberFit
from unblend.report.fit_descriptions import badness, rows, title


def sersic(id_, **errors):
    named = {"PA": 190.0, "ell": 0.25, "n": 2.0, "I_e": 1.0, "r_e": 5.0}
    parameters = tuple(Parameter(name, value, error=errors.get(name, 0.0)) for name, value in named.items())
    return Block(Parameter("Y0", 3.0), Parameter("X0", 4.0), (Function("Sersic", parameters),), id_)


def member(id_, block=None, flags=0, chi2=1.0):
    blocks = (block or sersic(id_, n=0.123, r_e=0.5),)
    return MemberFit(id_, blocks, blocks, blocks, flags=int(flags), chi2_segment=chi2)


def fit(*members, chi2=110.0, converged=True):
    sky = Parameter("I_sky", 0.5, error=0.01)
    return GroupFit(Box(0, 0, 9, 9), members, sky, sky, chi2, 108, 8, converged, "LM", 12)


def words(table):
    return [[text for _, _, text in row] for row in table]


def test_the_heading_of_a_group():
    heading = title("7", (7, 9), fit(member(7), member(9)))
    assert heading.split("    ") == [
        "Group 7 (2 sources)",
        "chi2 110 for 108 pixels and 8 free parameters",
        "reduced 1.100",
        "LM, converged",
        "sky 0.500 ± 0.010",
    ]
    assert "Group 7    LM, not converged" in title("7", (7,), fit(member(7), chi2=math.nan, converged=False))


def test_parameters_with_two_digits_of_their_errors():
    head, row = words(rows((7,), fit(member(7)), 0.1))
    assert head == ["id", "model", "n", 'r_e ["]', "ell", "PA [°]", "flux", "chi2"]
    # the PA is reduced to 180 degrees; r_e is in arcsec
    assert row[0] == "7" and row[1] == "Sersic" and row[-1] == "1.00"
    assert {"2.00 ± 0.12", "0.500 ± 0.050", "0.25", "10"} <= set(row)


def test_fixed_values_flags_and_other_functions():
    held = Function(
        "Sersic", tuple(Parameter(p.name, p.value, fixed=p.name == "n") for p in sersic(7).functions[0].parameters)
    )
    point = Function("PointSource", (Parameter("I_tot", 3.0, error=0.1),))
    disk = Function("Exponential", (Parameter("h", 2.0, error=0.1),))
    block = Block(Parameter("Y0", 3.0), Parameter("X0", 4.0), (held, point, disk), 7)
    table = words(rows((7,), fit(member(7, block, Flag.FIT_ON_BOUND | Flag.SHAPE_UNCERTAIN)), 0.1))
    assert "2 fixed" in table[1]
    assert table[2] == ["PointSource", "3"] and table[3] == ["Exponential", "h 2.00 ± 0.10"]
    assert table[4] == ["fit on bound, shape uncertain"]


def test_members_have_their_colours_and_user_models_are_labelled():
    table = rows((9, 7), fit(member(7)), 0.1)
    assert [row[0][0] for row in table[1:]] == [0, 1]
    assert words(table)[1] == ["9", "the user's own image"]


@pytest.mark.parametrize(
    ("fits", "expected"),
    [
        (fit(member(7, chi2=1.0)), (0, 1.1)),
        (fit(member(7, chi2=2.5), member(9, chi2=0.8)), (0, 2.5)),
        (fit(member(7, chi2=None)), (0, 1.1)),
        (fit(member(7, flags=Flag.FIT_REPLACED, chi2=None), chi2=math.nan), (1, 0.0)),
        (fit(member(7, flags=Flag.FIT_TIMED_OUT, chi2=None), chi2=math.nan), (1, 0.0)),
    ],
)
def test_badness(fits, expected):
    assert badness(fits) == pytest.approx(expected)
