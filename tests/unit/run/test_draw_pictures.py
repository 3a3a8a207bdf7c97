"""Pictures of fit groups: drawn once, drawn again if what they show changes, and no picture is better than a crash."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from astropy.wcs import WCS
from PIL import Image
from unblend.core.flags import Flag
from unblend.core.types import Box
from unblend.field.fit_field import FitField
from unblend.fits.imfit_config import Block, Function, Parameter
from unblend.fits.result import GroupFit, MemberFit
from unblend.io.files import write_json
from unblend.io.images import write_image
from unblend.run.draw_pictures import draw_group, picture_key

SIDE, BOX = 40, Box(10, 12, 30, 32)


def fit(chi2=400.0, flags=0):
    """Return the fit of one point source in the middle of its group's cutout."""
    point = Function("PointSource", (Parameter("I_tot", 9.0),))
    block, sky = Block(Parameter("Y0", 20.0), Parameter("X0", 22.0), (point,), 1), Parameter("I_sky", 0.0)
    member = MemberFit(1, (block,), (block,), (block,), flags=flags)
    return GroupFit(BOX, (member,), sky, sky, chi2, 400, 4, True, "LM", 5)


@pytest.fixture
def field(tmp_path):
    """A finished group: source 1 in a stack of noise."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [53.0, -27.8], [20.0, 20.0]
    wcs.wcs.cd = np.diag([-0.06, 0.06]) / 3600.0
    stack = np.random.default_rng(1).normal(size=(SIDE, SIDE))
    segments = np.zeros((SIDE, SIDE), dtype=np.int32)
    segments[18:23, 20:25] = 1
    write_image(tmp_path / "det_stack.fits", stack, wcs=wcs)
    write_image(tmp_path / "det_error.fits", np.ones((SIDE, SIDE)))
    write_image(tmp_path / "det_seg.fits", segments)
    write_image(tmp_path / "imfit/mask.fits", np.zeros((SIDE, SIDE), dtype=bool))
    group = {"members": [1], "box": [BOX.y0, BOX.x0, BOX.y1, BOX.x1], "neighbours": [], "digest": "a"}
    write_json(tmp_path / "imfit/groups.json", {"psf": "p", "groups": {"1": group}})
    write_image(tmp_path / "imfit/1/imfit_bestfit_res.fits", stack[BOX.slices])
    made = FitField(tmp_path)
    made.keep("1", "second", "k", fit())
    return made


def drawn(field):
    """Return when the picture of group 1 was written."""
    return (field.folder / "1/fit.png").stat().st_mtime_ns


def test_a_picture_is_drawn_once_and_its_card_has_its_size(field):
    card = draw_group(field, "1", "code")
    path = field.folder / "1/fit.png"
    assert (card.group, card.members, card.failed) == ("1", (1,), 0)
    assert card.chi2 == pytest.approx(400.0 / (400 - 4))
    with Image.open(path) as image:
        assert image.size == card.size
    before = drawn(field)
    assert draw_group(field, "1", "code") == card and drawn(field) == before


@pytest.mark.parametrize("change", ["drawing code", "residual", "fit", "damaged picture"])
def test_a_picture_is_drawn_again_if_it_would_look_different(field, change):
    draw_group(field, "1", "code")
    before, path = picture_key(field.folder / "1/fit.png")[0], field.folder / "1/fit.png"
    if change == "residual":
        write_image(field.folder / "1/imfit_bestfit_res.fits", np.zeros(BOX.shape))
    if change == "fit":
        field.keep("1", "second", "k", fit(chi2=900.0))
    if change == "damaged picture":
        path.write_bytes(path.read_bytes()[:20])
    draw_group(FitField(field.results), "1", "other code" if change == "drawing code" else "code")
    after = picture_key(path)[0]
    assert (after == before) == (change == "damaged picture") and after is not None


def test_a_group_without_its_residual_has_a_card_and_a_warning(field, caplog):
    (field.folder / "1/imfit_bestfit_res.fits").write_bytes(b"not an image")
    with caplog.at_level(logging.WARNING):
        card = draw_group(field, "1", "code")
    assert card.size is None and not (field.folder / "1/fit.png").exists()
    assert "group 1 has no picture" in caplog.text


def test_a_replaced_fit_is_among_the_failed_ones(field):
    field.keep("1", "second", "k", fit(flags=int(Flag.FIT_REPLACED)))
    assert draw_group(field, "1", "code").failed == 1


def test_a_file_that_is_no_picture_has_no_key(tmp_path):
    assert picture_key(tmp_path / "none.png") == (None, (0, 0))
    (tmp_path / "text.png").write_text("text")
    assert picture_key(tmp_path / "text.png") == (None, (0, 0))
