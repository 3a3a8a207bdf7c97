"""Pairs in the segments of a detection: which segments are examined, and what the fainter galaxy takes of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from detection_field import make_wcs
from galaxy_stamps import galaxy, psf_array
from scipy.ndimage import label
from unblend.detection.hidden_sources import ID_STEP, add_hidden
from unblend.field.close_pairs import find_close_pairs

SHAPE = (70, 150)
PAIR, SINGLE = (30.0, 35.0), (32.0, 105.0)


@pytest.fixture(scope="module")
def psf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("psf")
    fits.writeto(folder / "psf.fits", psf_array().astype(np.float32))
    fits.writeto(folder / "image.fits", np.zeros(SHAPE, dtype=np.float32), make_wcs().to_header())
    files = {key: {"file": str(folder / f"{key}.fits")} for key in ("psf", "image")}
    return {"name": "a", **files, "oversampling": 1.0, "kind": "effective", "sum": "unit", "centre": "centroid"}


def drawn(*more):
    """Return a field with a pair and a single galaxy: light, segments, catalogue."""
    light = galaxy(*PAIR, 3000.0, 1.0, 3.0, 0.3, 20.0, SHAPE) + galaxy(34.0, 35.5, 1500.0, 1.0, 2.0, 0.2, 0.0, SHAPE)
    light += galaxy(*SINGLE, 2500.0, 1.5, 3.0, 0.5, 80.0, SHAPE) + sum(more)
    segments = label(light > 0.7)[0].astype(np.int32)
    return light, segments, catalogue_of(light, segments)


def catalogue_of(light, segments):
    rows = np.zeros(segments.max(), dtype=[("id", "i4"), *((name, "f8") for name in ("y", "x", "flux", "snr"))])
    for i in range(1, len(rows) + 1):
        y, x = np.nonzero(segments == i)
        rows[i - 1] = (i, y.mean(), x.mean(), light[y, x].sum(), light[y, x].sum() / np.sqrt(y.size))
    return rows


def search(light, segments, catalogue, psf, *, bad=None, **options):
    data, error = light + np.random.default_rng(3).normal(size=SHAPE), np.ones(SHAPE)
    if bad is not None:
        data[bad], error[bad] = np.nan, np.inf
    options = {"min_snr": 10.0, "min_area": 10, **options}
    return find_close_pairs(SimpleNamespace(data=data, error=error), segments, catalogue, psf=psf, **options)


def test_the_pair_is_divided_and_the_single_galaxy_is_not(psf):
    light, segments, catalogue = drawn()
    parent = int(segments[30, 35])
    (found,) = search(light, segments, catalogue, psf)
    assert found.parent == parent and found.snr > 10
    assert (found.y, found.x) == pytest.approx((34, 35.5), abs=1)
    edited = add_hidden(segments, [found])
    assert edited[34, 36] == ID_STEP + parent and edited[29, 35] == parent
    assert np.array_equal(edited > 0, segments > 0)
    assert np.count_nonzero(edited == ID_STEP + parent) >= 10
    assert label(edited == ID_STEP + parent)[1] == 1


def test_faint_and_small_segments_are_left_alone(psf):
    light, segments, catalogue = drawn()
    assert search(light, segments, catalogue, psf, min_snr=100.0) == []
    area = np.count_nonzero(segments == segments[30, 35])
    assert search(light, segments, catalogue, psf, min_area=area // 2) == []


def test_a_segment_with_missing_pixels_is_left_alone(psf):
    light, segments, catalogue = drawn()
    bad = np.zeros(SHAPE, dtype=bool)
    bad[26, 33] = True
    assert search(light, segments, catalogue, psf, bad=bad) == []
    bad[26, 33], bad[60, 35] = False, True
    assert len(search(light, segments, catalogue, psf, bad=bad)) == 1


def test_a_piece_beside_a_much_brighter_source_is_left_alone(psf):
    light, segments, _ = drawn()
    parent = int(segments[30, 35])
    divided = segments.copy()
    divided[(segments == parent) & (np.indices(SHAPE)[0] < 25)] = segments.max() + 1
    beside = catalogue_of(light, divided)
    assert len(search(light, divided, beside, psf)) == 1  # its neighbour is fainter
    beside["flux"][-1] = 3.0 * beside["flux"][parent - 1]
    assert search(light, divided, beside, psf) == []


def test_a_field_of_hidden_sources_alone_has_no_pairs(psf):
    light, segments, catalogue = drawn()
    assert search(light, np.where(segments > 0, segments + ID_STEP, 0), catalogue, psf) == []
