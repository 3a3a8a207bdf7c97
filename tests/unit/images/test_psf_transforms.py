from __future__ import annotations

import numpy as np
from changing_psf import drawn_psf
from unblend.core.field_psf import FieldPsf, PixelGrid
from unblend.core.types import Psf
from unblend.images.psf import transform
from unblend.images.psf_transforms import PsfTransforms

K = (np.fft.fftfreq(21), np.fft.rfftfreq(27))


def field():
    places = PixelGrid(np.array([0.0, 119.0]), np.array([0.0, 199.0]))
    # centres that are not quite on a pixel: each transform is about its own
    psfs = (Psf(drawn_psf(y, x), (20.0 + y / 1e4, 20.0), 2.0) for y in places.y for x in places.x)
    return FieldPsf(tuple(psfs), places)


def test_the_transform_of_a_mean_is_the_mean_of_the_transforms():
    psf = field()
    weights = psf.places.weights(30.0, 50.0)
    found = PsfTransforms(psf).mean(weights, "k", *K)
    expected = transform(psf.at(30.0, 50.0), *K)
    # the centres differ by 0.012 pixels, and at(y, x) adds images that are not aligned
    assert np.abs(found - expected).max() < 1e-4
    assert abs(found[0, 0] - 1.0) < 1e-12
    single = PsfTransforms(psf).mean(((2, 1.0),), "k", *K)
    np.testing.assert_array_equal(single, transform(psf.psfs[2], *K))


def test_the_transforms_of_a_place_are_computed_once(monkeypatch):
    psf, computed = field(), []
    monkeypatch.setattr(
        "unblend.images.psf_transforms.transform", lambda one, *k: computed.append(one) or transform(one, *k)
    )
    transforms = PsfTransforms(psf)
    for y, x in ((30.0, 50.0), (70.0, 150.0), (0.0, 0.0)):
        transforms.mean(psf.places.weights(y, x), "k", *K)
    assert len(computed) == 4
    transforms.mean(psf.places.weights(0.0, 0.0), "other", *K)
    assert len(computed) == 5


def test_no_more_memory_is_kept_than_allowed():
    psf = field()
    size = transform(psf.psfs[0], *K).nbytes
    transforms = PsfTransforms(psf, max_bytes=2 * size)
    all_ = PsfTransforms(psf)
    weights = psf.places.weights(30.0, 50.0)
    for _ in range(2):
        np.testing.assert_array_equal(transforms.mean(weights, "k", *K), all_.mean(weights, "k", *K))
        assert len(transforms._kept) == 2 and transforms._bytes == 2 * size
