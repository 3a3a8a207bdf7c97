"""A model whose drawing is lost to the machine is drawn again, or the job says that it is missing."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from unblend.core.errors import UnblendError
from unblend.core.types import Model
from unblend.io.models import read_model
from unblend.run import render_batch as module
from unblend.run.render_batch import render_batch

SPEC = {"detail": "auto", "groups": {"1": {"user_files": {}}}, "drawing": "d", "oversampling": 3, "on_request": False}
MODEL = Model(np.ones((3, 3)), (1.0, 1.0), (53.0, -27.8), np.diag([-0.06, 0.06]), 9.0)


@pytest.fixture
def field(tmp_path):
    fit = SimpleNamespace(
        member=lambda source: SimpleNamespace(id=source, blocks=(source,), flags=0, is_bulge_and_disc=False)
    )
    return SimpleNamespace(
        groups={"1": {"members": [1, 3]}},
        wcs=None,
        overrides=lambda user_files: {},
        result=lambda group, which: fit,
        model_path=lambda source: tmp_path / f"{source}.fits",
    )


def draw(action):
    """Return a drawing function that acts before it draws source 3."""

    def model_of(member, wcs, oversampling, *, free_components, coarse):
        if member.id == 3:
            action()
        return MODEL

    return model_of


def test_a_drawing_lost_twice_is_an_error_and_the_next_run_draws_it(field, monkeypatch):
    monkeypatch.setattr(module, "model_of", draw(lambda: os.kill(os.getpid(), signal.SIGKILL)))
    with pytest.raises(UnblendError, match="the model of source 3 was not drawn: the process was ended from outside"):
        render_batch(field, SPEC, [])
    assert field.model_path(1).exists() and not field.model_path(3).exists()
    monkeypatch.setattr(module, "model_of", draw(lambda: None))
    assert render_batch(field, SPEC, []) == [] and read_model(field.model_path(3)).data.sum() == 9.0


def test_a_drawing_lost_once_is_repeated(field, monkeypatch, tmp_path):
    def action():
        if not (tmp_path / "mark").exists():
            (tmp_path / "mark").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(module, "model_of", draw(action))
    render_batch(field, SPEC, [], workers=2)
    assert read_model(field.model_path(3)).data.sum() == 9.0
