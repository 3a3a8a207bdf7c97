"""docs/recipes.md says what `./unblend new` does with the files of each instrument."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from instrument_fields import INSTRUMENTS, write_instrument
from unblend.plan.found_images import find_images

PAGE = (Path(__file__).resolve().parents[3] / "docs/recipes.md").read_text()
NAMES = {"jwst": "JWST", "hst": "Hubble", "irac": "Spitzer IRAC", "hsc": "HSC", "vista": "VISTA", "muse": "MUSE",
         "euclid": "Euclid", "spherex": "SPHEREx"}  # fmt: skip


def row_of(name):
    return next(line.split("|")[2:-1] for line in PAGE.splitlines() if re.match(rf"\| {NAMES[name]}\b", line))


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_table_agrees_with_the_program(tmp_path, name):
    write_instrument(tmp_path, INSTRUMENTS[name], 1)
    ((image,), _) = find_images([str(tmp_path)])
    at_image, at_weight, at_zero_point, at_psf = row_of(name)
    assert f"`{image.weight.kind}`" in at_weight
    for column, file in ((at_image, image.file), (at_weight, image.weight.file), (at_psf, image.psf.file)):
        extension = re.search(r"\[.*\]$", file)
        assert extension is None or extension[0] in column, column
    if image.psf.kind == "optical" or "[PSF]" not in image.psf.file:
        assert f"`{image.psf.kind}`" in at_psf
    keyword = image.zero_points[0].source.split(" = ")[0]
    assert keyword in at_zero_point
