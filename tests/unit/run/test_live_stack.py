"""The stack minus the models fitted so far."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import unblend.run.live_stack as module
from fit_members import POINT, block, member, stack_wcs
from unblend.core.errors import UnblendError
from unblend.core.types import cut
from unblend.fits.fit_psf import as_psf
from unblend.io.images import read_array, read_header
from unblend.models.templates import TemplateEngine
from unblend.run.live_stack import write_live_stack

SHAPE = (80, 100)


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Return jobs and the stack: source 7 is a point of flux 50 in group 7; group 8 is not fitted yet."""
    wcs, y, x = stack_wcs(), *(np.indices((15, 15)) - 7.0)
    psf = np.exp(-(y**2 + x**2) / 4.5)
    engine = TemplateEngine(wcs, SHAPE, as_psf(psf / psf.sum()))
    fitted = member(block(POINT))
    template = engine.template(7, module.model_of(fitted, wcs, 5))
    image = np.zeros(SHAPE)
    image[template.box.slices] = 50.0 * template.data
    field = SimpleNamespace(
        groups={"7": {"members": [7]}, "8": {"members": [8, 9]}}, wcs=wcs, shape=SHAPE, engine=engine,
        stack=lambda box: cut(image, box, np.nan),
        result=lambda group, which: SimpleNamespace(member=lambda source: fitted), flux_of=lambda template: 0.0,
    )  # fmt: skip
    monkeypatch.setattr(module, "FitField", lambda results, gain: field)
    monkeypatch.setattr(module, "missing_fits", lambda jobs, which: ["8"] if which == "first" else ["7", "8"])
    models = SimpleNamespace(gain=None, oversampling=5)
    fits = SimpleNamespace(user_files=lambda group: {})
    return SimpleNamespace(results=tmp_path, config=SimpleNamespace(models=models), fits=fits)


def test_what_is_fitted_is_subtracted_and_counted(stack):
    path, done, total = write_live_stack(stack)
    assert (done, total) == (1, 3)
    header = read_header(str(path))
    assert (header["NFITTED"], header["NSOURCE"]) == (1, 3)
    assert np.abs(read_array(str(path))).max() < 1e-4


def test_a_folder_that_cannot_be_written_is_one_sentence(stack):
    (stack.results / "imfit").write_text("a file in the place of the folder")
    with pytest.raises(UnblendError, match=r"det_stack-live\.fits cannot be written: it needs permission"):
        write_live_stack(stack)
