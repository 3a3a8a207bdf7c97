from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from unblend.core.errors import InputError
from unblend.io.images import write_image
from unblend.plan.weight_checks import describe_weights


def jobs(folder, **weights):
    """A field of one image of noise and a weight map for each band; None: a band without one."""
    write_image(folder / "image.fits", np.random.default_rng(1).normal(0.0, 2.0, (60, 60)))
    bands = {}
    for name, values in weights.items():
        if values is not None:
            write_image(folder / f"{name}.fits", values)
        bands[name] = SimpleNamespace(name=name, mosaic=None, weight=values)
    inputs = SimpleNamespace(
        image=lambda band: str(folder / "image.fits"),
        weight=lambda band: None if band.weight is None else {"file": str(folder / f"{band.name}.fits"), "kind": "rms"},
    )
    return SimpleNamespace(config=SimpleNamespace(bands=bands), inputs=inputs)


def test_a_good_map_is_described_and_a_band_without_one_is_not(tmp_path):
    rms = np.full((60, 60), 2.0)
    rms[:15] = 0.0
    (line,), warnings = describe_weights(jobs(tmp_path, k=rms, j=None))
    assert warnings == []
    assert line.startswith("bands.k.weight: ") and line.endswith("k.fits, read as rms; 25% without data")


def test_all_bad_maps_are_named_together(tmp_path):
    noise = np.random.default_rng(2).normal(size=(60, 60))
    with pytest.raises(InputError, match=r"(?s)mistakes:\n  bands\.k\.weight.*negative.*\n  bands\.j\.weight"):
        describe_weights(jobs(tmp_path, k=noise, j=np.full((60, 60), 2e5)))


def test_a_map_whose_noise_falls_where_the_image_is_noisier_is_a_warning(tmp_path):
    field = jobs(tmp_path, k=0.5 + 0.1 * np.linspace(0.0, 9.0, 120) * np.ones((100, 1)))
    noise = np.linspace(3.0, 0.5, 120) * np.random.default_rng(1).normal(size=(100, 120))
    write_image(tmp_path / "image.fits", noise)
    (line,), (warning,) = describe_weights(field)
    assert "read as rms; 0% without data" in line
    assert "smaller noise to the parts of the image that are noisier" in warning
