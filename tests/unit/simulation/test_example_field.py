from __future__ import annotations

import re
from dataclasses import replace

import fitsio
import make_example_field
import numpy as np
import pytest
from unblend.core import coordinates
from unblend.core.errors import InputError
from unblend.simulation import example_field
from unblend.simulation.fields import Field


@pytest.fixture(scope="module")
def small() -> Field:
    """Return the example without f814w and with a sixth of its galaxies."""
    return example_field.draw_example(np.random.default_rng(4), small_spec())


def small_spec():
    spec = example_field.example_spec()
    return replace(spec, bands=spec.bands[1:], n_galaxies=40, n_stars=1)


def circles(text: str) -> np.ndarray:
    """Return rows of ra, dec, radius of the circles of a region file."""
    return np.array([[float(v) for v in m] for m in re.findall(r"circle\(([\d.]+),(-[\d.]+),([\d.]+)\"\)", text)])


def distance(truth: np.ndarray, ra: float, dec: float) -> np.ndarray:
    return np.hypot(*coordinates.offset_arcsec(truth["ra"], truth["dec"], ra, dec))


def test_the_bands_have_the_expected_grids():
    bands = {b.name: b for b in example_field.band_specs()}
    assert list(bands) == ["f814w", "f125w", "f160w", "ks", "irac-ch1", "irac-ch2"]
    assert [b.pixel_arcsec for b in bands.values()] == [0.06, 0.06, 0.06, 0.15, 0.6, 0.6]
    assert len({(b.shape, b.phase_pixels) for b in list(bands.values())[:3]}) == 1
    assert all(sum(c.fraction for c in b.psf) == pytest.approx(1.0) for b in bands.values())


def test_the_target_is_at_the_centre_of_the_field(small):
    target = small.truth[small.truth["kind"] == "target"][0]
    assert (target["ra"], target["dec"]) == example_field.CENTRE
    assert target["neighbour_arcsec"] < 1.7  # within one FWHM of IRAC


def test_the_manual_circle_is_a_source_that_is_detected_only_in_the_infrared_bands(small):
    (ra, dec, radius), = circles(example_field.region_files(small)["det_manual.reg"])  # fmt: skip
    red = small.truth[distance(small.truth, ra, dec) < radius]
    assert list(red["kind"]) == ["red"]
    assert red["snr_f160w"][0] < 3.0 < 20.0 < red["snr_irac-ch1"][0]


def test_the_merge_circle_touches_one_galaxy_only(small):
    (ra, dec, radius), = circles(example_field.region_files(small)["merged_segments.reg"])  # fmt: skip
    others = small.truth[small.truth["kind"] != "clumpy"]
    assert np.min(distance(others, ra, dec) - others["r_e_arcsec"]) > radius + 1.0


def test_border_circles_cover_the_sources_beyond_the_detection_image(small):
    found = circles(example_field.region_files(small)["mask_border.reg"])
    outside = small.truth[~small.truth["in_field"] & (small.truth["snr_irac-ch1"] > 10.0)]
    assert len(outside) >= 3
    for row in outside:
        assert np.min(np.hypot(*coordinates.offset_arcsec(found[:, 0], found[:, 1], row["ra"], row["dec"]))) < 1e-2


def test_empty_circles_are_faint_and_do_not_overlap(small):
    found = circles(example_field.region_files(small)["irac-ch1-sim.reg"])
    assert len(found) == 20
    east, north = coordinates.offset_arcsec(found[:, 0], found[:, 1], *example_field.CENTRE)
    gaps = np.hypot(east[:, None] - east, north[:, None] - north) + 99 * np.eye(len(found))
    assert gaps.min() >= 2 * 2.4 - 0.01
    bright = small.truth[small.truth["snr_irac-ch1"] > 30]
    assert min(distance(bright, ra, dec).min() for ra, dec, _ in found) > 2.4


def test_defects_are_under_the_bad_regions(small):
    band = small.bands["ks"]
    excess = (band.image - band.light) / np.median(band.rms) - band.spec.background
    text = example_field.region_files(small)["ks-bad.reg"]
    ra, dec = np.array(re.search(r"polygon\(([^)]+)\)", text).group(1).split(","), dtype=float).reshape(-1, 2).T
    (cra, cdec, radius), = circles(text)  # fmt: skip
    rows, columns = np.nonzero(excess > 9.0)
    sky = coordinates.pixel_to_sky(band.wcs, rows, columns)
    from matplotlib.path import Path

    trail = Path(np.column_stack(coordinates.offset_arcsec(ra, dec, cra, cdec)))
    east, north = coordinates.offset_arcsec(*sky, cra, cdec)
    covered = trail.contains_points(np.column_stack([east, north])) | (np.hypot(east, north) < radius)
    # 9 rms are 5.6 sigma in the noisier columns, where none of 33 000 pixels exceeds it by chance
    assert len(rows) > 300 and covered.all()
    assert np.isnan(band.image).sum() >= 24 + 35


def test_stack_psf_has_unit_sum_and_lies_between(small):
    stack = example_field.stack_psf(small)
    peaks = [small.bands[n].psf.max() for n in ("f160w", "f125w")]
    assert stack.sum() == pytest.approx(1.0)
    assert peaks[0] < stack.max() < peaks[1]


def test_the_script_is_reproducible_and_keeps_existing_regions(tmp_path, monkeypatch):
    specs = {"f125w": (140, 140), "f160w": (140, 140), "ks": (460, 460), "irac-ch1": (128, 128), "irac-ch2": (128, 128)}
    spec = small_spec()
    bands = tuple(replace(b, shape=specs[b.name]) for b in spec.bands)
    monkeypatch.setattr(example_field, "example_spec", lambda: replace(spec, bands=bands, n_galaxies=0, n_stars=0))
    (tmp_path / "det_manual.reg").write_text("# mine\n")
    for folder in (tmp_path, tmp_path / "again"):
        make_example_field.main(str(folder), 3, str(folder / "truth.fits"))
    first, again = (
        {p.name: p.read_bytes() for p in f.iterdir() if p.is_file()} for f in (tmp_path, tmp_path / "again")
    )
    assert first.pop("det_manual.reg") == b"# mine\n" and again.pop("det_manual.reg")
    assert again == first
    truth = fitsio.read(tmp_path / "truth.fits", ext=1)
    assert len(truth) == 8 and "flux_irac-ch1" in truth.dtype.names


def test_nothing_that_exists_is_overwritten(tmp_path):
    (tmp_path / "ks.fits").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"ks\.fits exists and was not drawn .* delete the line example_seed"):
        make_example_field.main(str(tmp_path), 3, str(tmp_path / "truth.fits"))
    assert [p.name for p in tmp_path.iterdir()] == ["ks.fits"] and (tmp_path / "ks.fits").read_bytes() == b"mine"
