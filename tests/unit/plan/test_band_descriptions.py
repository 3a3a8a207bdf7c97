from __future__ import annotations

from types import SimpleNamespace

import pytest
from unblend.core.errors import InputError, UnblendError
from unblend.plan.band_descriptions import describe_bands


def jobs(**mosaics):
    bands = {name: SimpleNamespace(mosaic=mosaic) for name, mosaic in mosaics.items()}
    return SimpleNamespace(config=SimpleNamespace(bands=bands))


def test_bands_without_an_image_or_without_a_line_are_left_out():
    lines = {"j": "a line", "h": None}
    assert describe_bands(jobs(j=None, h=None, k="m.fits"), lines.__getitem__, "the maps") == ["a line"]


def test_all_mistakes_are_named_together():
    def fail(name):
        raise UnblendError(f"bands.{name}: bad")

    with pytest.raises(InputError, match=r"^the maps have mistakes:\n  bands\.j: bad\n  bands\.k: bad$"):
        describe_bands(jobs(j=None, k=None), fail, "the maps")
