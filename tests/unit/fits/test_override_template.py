from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from unblend.core.errors import InputError
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.field.fit_field import FitField
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.override_template import starting_text
from unblend.fits.overrides import apply_override, parse_override
from unblend.fits.result import MemberFit, sersic_block
from unblend.models.sersic import Sersic
from write_override import main, text_for

BOX = Box(100, 200, 150, 250)
AUTO = sersic_block(Sersic(125.0, 225.0, 30.0, 0.3, 1.5, 10.0, 4.0), 7, max_offset=3.0, r_e_range=(0.02, 20.0))
BEST = replace(AUTO, x0=replace(AUTO.x0, value=226.25))
MEMBER = MemberFit(7, (BEST,), (AUTO,), (AUTO,), flags=int(Flag.FIT_POOR_CHI2), chi2_segment=2.5)


def text(member=MEMBER, **more):
    return starting_text(member, 3, [3, 7], pixel_scale_arcsec=0.06, **more)


def applied(content):
    return apply_override(parse_override(content, "overrides/7.dat"), AUTO, 500.0, BOX)


def test_the_text_is_an_override_that_starts_at_the_present_fit():
    content = text(note="A note.")
    (block,) = applied(content)
    for given, wanted in zip(block.parameters, BEST.parameters, strict=True):
        assert (given.name, given.value) == (wanted.name, pytest.approx(wanted.value, rel=1e-5))
        assert (given.lower is None) == (wanted.lower is None)
    assert content.startswith("# Present fit of source 7 in group 3 (with 3): reduced chi2 2.50 on its segment; ")
    assert "fit_poor_chi2" in content and "# A note.\n" in content
    assert "\nX0 227.25 223,229" in content  # 1-based
    assert 'half-light radius along the major axis, pixels of 0.06"; 0 should be avoided' in content
    assert all(len(line) <= 130 for line in content.splitlines())


def test_the_example_in_the_comments_is_a_valid_override():
    lines = text().splitlines()
    at = lines.index("# FUNCTION Sersic")
    recipe = "\n".join(line.removeprefix("# ") for line in lines[at : at + 6])
    (block,) = applied(recipe)
    bulge, disc = block.functions
    assert (bulge["n"].value, disc["n"].value) == (4.0, 1.0) and bulge["n"].fixed
    assert bulge["r_e"].value < 4.0 < disc["r_e"].value


def test_several_functions_and_fixed_parameters_are_kept():
    point = Function("PointSource", (Parameter("I_tot", 5.0, 0.0, 9.0),))
    fixed_n = Function("Sersic", tuple(replace(p, fixed=p.name == "n") for p in AUTO.functions[0].parameters))
    block = Block(AUTO.y0, AUTO.x0, (point, fixed_n), 7)
    content = text(replace(MEMBER, blocks=(block,), automatic=(block,)))
    (found,) = applied(content)
    assert [f.name for f in found.functions] == ["PointSource", "Sersic"]
    assert found.functions[1]["n"].fixed and found.functions[0]["I_tot"].value == 5.0


class FakeField:
    """Stands in for a field, with the parts that the command reads."""

    folder = Path("results/imfit")
    group_of = FitField.group_of

    def __init__(self, groups):
        self._groups = groups

    @property
    def groups(self):
        if self._groups is None:
            raise OSError("no file")
        return self._groups

    def result(self, group, which):
        raise OSError("no file")


def test_a_bulge_and_a_disc_stay_free_in_every_band():
    functions = tuple(AUTO.with_parameters(AUTO.parameters).functions) * 2
    both = replace(AUTO, functions=functions)
    content = text(replace(MEMBER, blocks=(both,), start=(both,), automatic=(both,), one_profile=(BEST,)))
    override = parse_override(content, "overrides/7.dat")
    assert (
        override.free_components and [f.name for block in applied(content) for f in block.functions] == ["Sersic"] * 2
    )
    assert "For a single profile" in content and "COMPONENTS" not in text()


def test_missing_fits_and_sources_are_an_error():
    with pytest.raises(InputError, match=r"results/imfit contains no fits yet; run the workflow first"):
        text_for(FakeField(None), 7)
    groups = {"1": {"members": [1, 3]}, "7": {"members": [7]}}
    with pytest.raises(InputError, match=r"there is no source 9; IDs run from 1 to 7"):
        text_for(FakeField(groups), 9)
    with pytest.raises(InputError, match="the group of source 3 is not fitted yet"):
        text_for(FakeField(groups), 3)


def test_the_command_never_overwrites_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("write_override.text_for", lambda field, source, note: f"n 4 # {source} {note}\n")
    (tmp_path / "config.yaml").write_text(
        "target: {ra: 1, dec: 1}\ndetection: {bands: [a]}\nmodels: {psf: a}\nbands: {a: {image: a.fits, psf: p.fits}}\n"
    )
    where = ["--directory", str(tmp_path)]
    main("7", *where)
    path = tmp_path / "overrides/7.dat"
    assert path.read_text() == "n 4 # 7 \n" and f"{path}: edit it" in capsys.readouterr().out
    path.write_text("mine\n")
    with pytest.raises(InputError, match=r"overrides/7.dat exists and is not changed; --print"):
        main("7", *where)
    (tmp_path / "custom_models").mkdir()
    (tmp_path / "custom_models/7.fits").touch()
    main("7", "--print", *where)
    assert path.read_text() == "mine\n" and "custom_models contains a model of this source" in capsys.readouterr().out
