from __future__ import annotations

import pytest
from unblend.core.errors import InputError, OverrideError
from unblend.fits.imfit_config import Block, Function, ImfitConfig, Parameter, format_config, parse_config, read_lines
from unblend.fits.imfit_loader import load_pyimfit

TEXT = """
# a comment
GAIN 4.5
READNOISE 0.7

X0   26.0   22,30   # ID=7
Y0   31.5   fixed
FUNCTION Sersic   # bulge
PA   30
ell  0.4    0,0.95
n    4      fixed
I_e  1e2    0,1e6
r_e  3.5    0.1, 10
FUNCTION PointSource
I_tot 12 0,100

X0 1 fixed
Y0 1 fixed
FUNCTION FlatSky
I_sky 0.1 -1,1
"""


def test_reads_options_blocks_limits_and_ids():
    config = parse_config(TEXT, origin=(100, 200))
    assert config.options == {"GAIN": 4.5, "READNOISE": 0.7}
    first, sky = config.blocks
    assert first.id == 7 and sky.id is None
    # 1-based pixel 26 of a cutout that starts at column 200 is column 225
    assert first.x0 == Parameter("X0", 225.0, 221.0, 229.0)
    assert first.y0 == Parameter("Y0", 130.5, fixed=True)
    assert [function.name for function in first.functions] == ["Sersic", "PointSource"]
    assert first.functions[0]["n"] == Parameter("n", 4.0, fixed=True)
    assert first.functions[0]["PA"] == Parameter("PA", 30.0)
    assert first.functions[0]["r_e"] == Parameter("r_e", 3.5, 0.1, 10.0)


def test_a_written_file_is_read_back_unchanged():
    config = parse_config(TEXT, origin=(100, 200))
    assert parse_config(format_config(config, (100, 200), header="two\nlines"), origin=(100, 200)) == config


def test_values_are_written_with_all_digits():
    block = Block(Parameter("Y0", 0.1), Parameter("X0", 0.3), (Function("FlatSky", (Parameter("I_sky", 1 / 3),)),))
    read = parse_config(format_config(ImfitConfig((block,)), (0, 0)))
    assert read.blocks[0].functions[0]["I_sky"].value == 1 / 3


def test_reads_the_errors_of_a_best_fit():
    text = "X0 33.5 # +/- 0.02\nY0 20 # +/- 0.03\nFUNCTION Gaussian\nPA 10 # +/- 1\nell 0 # +/- nothing\nI_0 3\nsigma 2"
    block = parse_config(text).blocks[0]
    assert block.x0.error == 0.02
    assert [p.error for p in block.functions[0].parameters] == [1.0, None, None, None]


def test_results_are_written_with_errors_and_without_limits():
    parameter = Parameter("I_sky", 0.25, -1.0, 1.0, error=0.125)
    centre = Parameter("Y0", 4.0, fixed=True, error=0.0), Parameter("X0", 5.0, fixed=True, error=0.0)
    text = format_config(ImfitConfig((Block(*centre, (Function("FlatSky", (parameter,)),), id=3),)))
    assert text.splitlines() == [
        "X0       6.0  # +/- 0  ID=3",
        "Y0       5.0  # +/- 0",
        "FUNCTION FlatSky  # LABEL ID=3",
        "I_sky    0.25  # +/- 0.125",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n", "expected a line such as"),
        ("n four", "expected a line such as"),
        ("n 4 5", "expected a line such as"),
        ("n 4 1,2,3", "expected a line such as"),
        ("n inf", "expected a finite number"),
        ("n 4 8,1", "lower limit below the upper one"),
        ("n 9 1,8", "inside its limits 1,8"),
        ("FUNCTION", "'FUNCTION' and one name"),
    ],
)
def test_the_message_gives_the_line_of_an_error(line, message):
    with pytest.raises(InputError, match=rf"bad.dat, line 3: .*{message}"):
        parse_config(f"X0 1\nY0 2\n{line}\n", "bad.dat")


@pytest.mark.parametrize("text", ["n 4", "X0 1\nFUNCTION Sersic", "X0 1\nY0 1\nn 3", "FUNCTION Sersic"])
def test_a_line_in_the_wrong_place_is_an_error(text):
    with pytest.raises(InputError, match="in the wrong place; expected the order X0, Y0, FUNCTION"):
        parse_config(text)


def test_parameters_on_their_limits():
    assert Parameter("n", 8.0, 0.1, 8.0).on_bound and Parameter("ell", 0.0, 0.0, 0.95).on_bound
    assert not Parameter("n", 8.0, 0.1, 8.0, fixed=True).on_bound and Parameter("n", 8.0, fixed=True).fixed_or_on_bound
    assert not Parameter("n", 8.0).on_bound and not Parameter("n", 7.99, 0.1, 8.0).on_bound
    assert Parameter("n", 9.0, 0.1, 8.0).clipped().value == 8.0
    assert Parameter("n", 9.0, 0.1, 8.0).widened() == Parameter("n", 9.0, 0.1, 9.0)


def test_a_block_without_a_centre_cannot_be_written():
    with pytest.raises(ValueError, match="without a centre"):
        format_config(ImfitConfig((Block(None, None, ()),)))


def block():
    function = Function("PointSource", (Parameter("I_tot", 5.0, 0.0, 9.0),))
    return Block(Parameter("Y0", 10.0, 8.0, 12.0), Parameter("X0", 20.0, fixed=True), (function,), 7)


def test_a_shift_moves_the_centre_and_its_limits():
    shifted = block().shifted(1.0, -2.0)
    assert shifted.y0 == Parameter("Y0", 11.0, 9.0, 13.0) and shifted.x0 == Parameter("X0", 18.0, fixed=True)
    assert shifted.functions == block().functions and shifted.id == 7
    assert Block(None, None, (), 7).shifted(1.0, 2.0) == Block(None, None, (), 7)


def test_the_parameters_of_a_block_are_in_the_order_of_imfit():
    assert [p.name for p in block().parameters] == ["X0", "Y0", "I_tot"]
    assert block().with_parameters(block().parameters) == block()
    # a block without a row keeps the order of the others
    without_row = Block(None, block().x0, block().functions, 7)
    assert [p.name for p in without_row.parameters] == ["X0", "I_tot"]
    assert without_row.with_parameters(without_row.parameters) == without_row


def test_a_parameter_of_a_function_is_found_by_its_name():
    assert block().functions[0]["I_tot"].value == 5.0


def test_lines_keep_their_numbers_and_the_caller_chooses_the_error():
    lines = read_lines("# comment\n\nn 4\nFUNCTION Sersic # ID=3", "7.dat")
    assert [(line.number, line.function, line.id) for line in lines] == [(3, None, None), (4, "Sersic", 3)]
    with pytest.raises(OverrideError, match=r"7\.dat, line 1: expected a finite number, found 'n nan'"):
        read_lines("n nan", "7.dat", OverrideError)


def described(text):
    """Return what pyimfit's own parser reads: (function, parameter): value, limits, fixed."""
    model = load_pyimfit().parse_config([f"{line}\n" for line in text.splitlines()])
    return [
        [("X0", group.x0.value, group.x0.limits, group.x0.fixed)]
        + [(p.name, p.value, p.limits, p.fixed) for f in group._functions for p in f._parameters]
        for group in model._functionSets
    ]


@pytest.mark.parametrize("options", [{}, {"GAIN": 4.5}])
def test_pyimfit_reads_what_is_written(options):
    sky = Block(Parameter("Y0", 0.0, fixed=True), Parameter("X0", 0.0, fixed=True),
                (Function("FlatSky", (Parameter("I_sky", 0.1, -1.0, 1.0),)),))  # fmt: skip
    for blocks in ((block(),), (block(), sky), (block(), block(), sky)):
        read = described(format_config(ImfitConfig(blocks, options), header="a header"))
        assert [group[0][1] for group in read] == [b.x0.value + 1.0 for b in blocks]
        assert read[0][1:] == [("I_tot", 5.0, (0.0, 9.0), False)] and read[0][0][3] is True
        assert len(blocks) == 1 or read[-1][1:] == [("I_sky", 0.1, (-1.0, 1.0), False)]


def test_a_best_fit_is_read_by_pyimfit():
    done = Block(Parameter("Y0", 4.0, error=0.1), Parameter("X0", 5.0, error=0.1),
                 (Function("PointSource", (Parameter("I_tot", 5.0, 0.0, 9.0, error=0.2),)),), id=3)  # fmt: skip
    read = described(format_config(ImfitConfig((done, done))))
    assert [group[1][:2] for group in read] == [("I_tot", 5.0)] * 2
