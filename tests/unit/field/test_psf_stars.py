"""A PSF built from the stars of a drawn field: its light against the truth, the stars that are left out, errors."""

from __future__ import annotations

import logging

import galsim
import numpy as np
import pytest
from star_field import SCALE_ARCSEC, StarField, asymmetric_psf, encircled, flux_of, moffat_psf, true_psf
from unblend.core.errors import InputError
from unblend.field.prepared_psf import describe_psf, prepared_psf, psf_of
from unblend.field.psf_stars import no_stars, star_psf
from unblend.images.psf import centroid


def drawn(psf, number, *, seed, galaxies=60, side=400):
    made = StarField(psf(), side=side, rng=np.random.default_rng(seed))
    stars = made.add_stars(number)
    made.add_galaxies(galaxies, stars)
    return made, np.array(stars)


def states(table):
    return dict(zip(*np.unique(table["state"], return_counts=True), strict=True))


@pytest.mark.parametrize(
    ("psf", "number", "seed", "side"),
    [(moffat_psf, 8, 1, 400), (moffat_psf, 16, 2, 400), (asymmetric_psf, 8, 3, 400), (asymmetric_psf, 30, 1, 500)],
)
def test_its_light_is_within_half_a_per_cent_at_every_radius(tmp_path, psf, number, seed, side):
    made, stars = drawn(psf, number, seed=seed, side=side)
    found = star_psf(made.write(tmp_path / "k.fits"))
    built, used = found.built, found.table[found.table["state"] == "used"]
    assert len(used) >= number // 2 and built.oversampling == 2
    truth = true_psf(made.psf, built.data.shape[0], 2)
    radii = np.arange(0.5, built.data.shape[0] / 4, 0.5)
    np.testing.assert_allclose(encircled(built.data, radii, 2), encircled(truth, radii, 2), atol=0.005)
    # a star is where it was drawn; the centroid of an asymmetric PSF lies beside that
    offset = (np.array(centroid(truth)) - truth.shape[0] // 2) / 2
    y, x = used["y"] - 1.0, used["x"] - 1.0
    nearest = np.hypot(np.subtract.outer(y, stars[:, 0]), np.subtract.outer(x, stars[:, 1])).argmin(axis=1)
    misplaced = np.stack([y, x], axis=1) - stars[nearest] - offset
    assert np.abs(np.average(misplaced, axis=0, weights=used["snr"] ** 2)).max() < 0.01
    bright = used[used["snr"] > 200]
    elongated = psf is asymmetric_psf
    assert np.median(bright["ell"]) == pytest.approx(0.15 if elongated else 0.0, abs=0.03)
    assert np.ptp(bright["fwhm"]) < 0.05 * np.median(bright["fwhm"]) and (np.ptp(bright["pa"]) < 20.0 or not elongated)


def test_stars_with_masked_neighbours_are_used_where_there_are_few_others(tmp_path):
    """Two of twelve stars are alone. The galaxies come as close as 3 FWHM; half a per cent is what they leave."""
    made = StarField(asymmetric_psf(), rng=np.random.default_rng(3))
    stars = made.add_stars(12, snr=(100.0, 2000.0))
    made.add_galaxies(150, stars, away=9.0)
    found = star_psf(made.write(tmp_path / "k.fits"))
    assert states(found.table) == {"used": 5, "blended": 7}
    truth = true_psf(made.psf, found.built.data.shape[0], 2)
    radii = np.arange(0.5, found.built.data.shape[0] / 4, 0.5)
    np.testing.assert_allclose(encircled(found.built.data, radii, 2), encircled(truth, radii, 2), atol=0.005)


def test_light_beyond_a_small_stamp_is_warned_of_and_counts_on_request(tmp_path, caplog):
    made, _ = drawn(moffat_psf, 16, seed=2, galaxies=0)
    spec = made.write(tmp_path / "k.fits")
    small = {**spec, "stars": {**spec["stars"], "size_arcsec": 13.0 * SCALE_ARCSEC}}
    whole = true_psf(made.psf, 401, 2)
    sums = {}
    for total in ("unit", "given"):
        caplog.clear()
        psf = psf_of({**small, "sum": total}).psfs[0]
        warned = [r.getMessage() for r in caplog.records if "beyond the PSF's square" in r.getMessage()]
        assert len(warned) == (total == "unit")
        sums[total] = psf.data.sum()
    half = psf.data.shape[0] // 2
    inside = whole[200 - half : 201 + half, 200 - half : 201 + half].sum()
    assert sums["unit"] == pytest.approx(1.0) and inside < 0.988
    assert sums["given"] == pytest.approx(inside, abs=0.006)


def test_stars_that_cannot_be_used_are_listed_with_the_reason(tmp_path):
    made, stars = drawn(moffat_psf, 16, seed=5, galaxies=0)
    made.add(*(stars[2] + [7.0, 5.0]), flux_of(60.0))
    made.add(*(stars[4] + [1.1, 0.8]), 0.3 * flux_of(750.0))  # an unresolved double star
    made.add(8.0, 200.0, flux_of(800.0))
    image = made.pixels()
    spec = made.write(tmp_path / "k.fits", image)
    top = np.rint(stars[0]).astype(int)
    table = star_psf({**spec, "saturation": float(image[tuple(top)] * 0.9)}).table
    places = np.stack([table["y"] - 1, table["x"] - 1], axis=1)

    def state(star):
        distance = np.hypot(*(places - star).T)
        return str(table["state"][distance.argmin()]) if distance.min() < 2 else "not listed"

    assert state(stars[0]) == "saturated" and state(stars[2]) == "blended" and state([8.0, 200.0]) == "border"
    assert state(stars[4]) in ("unlike the others", "not listed")
    assert states(table)["used"] >= 7
    used = table["state"] == "used"
    assert table["weight"][used].sum() == pytest.approx(1.0) and not table["weight"][~used].any()
    assert np.isfinite(table["residual"][used]).all() and np.isnan(table["residual"][~used]).all()
    # the scale is in the table, and positions are on the sky
    assert np.median(table["half_light_radius"]) == pytest.approx(1.9 * SCALE_ARCSEC, rel=0.1)
    np.testing.assert_allclose(table["dec"], (table["y"] - 1) * SCALE_ARCSEC / 3600, atol=1e-6)


def test_stars_can_be_given(tmp_path, caplog):
    made, stars = drawn(moffat_psf, 9, seed=2, galaxies=0)
    spec = made.write(tmp_path / "k.fits")
    chosen = np.vstack([stars[:4], [[200.0, 5.0]]])
    degrees = [((53.0 - x * SCALE_ARCSEC / 3600) % 360, y * SCALE_ARCSEC / 3600) for y, x in chosen]
    (tmp_path / "stars.csv").write_text("ra,dec\n" + "\n".join(f"{ra:.8f},{dec:.8f}" for ra, dec in degrees))
    (tmp_path / "stars.reg").write_text("icrs\n" + "\n".join(f"point({ra:.8f},{dec:.8f})" for ra, dec in degrees))
    found = []
    for name in ("stars.csv", "stars.reg"):
        caplog.clear()
        given = {**spec, "stars": {**spec["stars"], "places": {"file": str(tmp_path / name)}}}
        with caplog.at_level(logging.WARNING):
            found.append(star_psf(given))
        assert f"no source within 3 pixels of 1 of the 5 stars in {tmp_path / name}" in caplog.text
        assert len(found[-1].table) == 4
    np.testing.assert_array_equal(found[0].table, found[1].table)


def test_too_few_stars_are_an_error_that_says_what_to_do(tmp_path):
    made = StarField(moffat_psf(), side=200)
    stars = made.add_stars(2)
    made.add_galaxies(5, stars)
    spec = made.write(tmp_path / "k.fits")
    with pytest.raises(InputError, match=r"bands.k.psf: 0 stars of .*k.fits can be used, expected at least 3 .*Give"):
        star_psf(spec)


def test_stars_that_contradict_each_other_are_an_error(tmp_path):
    made = StarField(moffat_psf())
    places = [(100.0, 100.0), (100.0, 300.0), (300.0, 100.0), (300.0, 300.0)]
    for number, place in enumerate(places):
        # of one size, and elongated in different directions
        beam = galsim.Gaussian(fwhm=3.0).shear(g=0.4, beta=number * 45 * galsim.degrees)
        made.add(*place, flux_of(900.0), beam)
    with pytest.raises(InputError, match=r"contradict each other: .* of 4 differ .* Give the file of a PSF"):
        star_psf(made.write(tmp_path / "k.fits"))


def test_size_and_oversampling_are_those_wanted(tmp_path):
    made, _ = drawn(moffat_psf, 9, seed=4, galaxies=0)
    spec = made.write(tmp_path / "k.fits")
    built = star_psf({**spec, "stars": {"places": None, "oversampling": 3, "size_arcsec": 2.4}}).built
    assert built.oversampling == 3 and built.data.shape == (2 * 12 * 3 + 1,) * 2


def test_it_is_prepared_as_any_other_psf(tmp_path):
    made, _ = drawn(asymmetric_psf, 12, seed=4, galaxies=0)
    spec = made.write(tmp_path / "k.fits")
    psf, widths = prepared_psf(spec)
    (single,) = psf.psfs
    assert single.data.sum() == pytest.approx(1.0) and single.kind == "effective" and single.oversampling == 2
    np.testing.assert_allclose(centroid(single.data), single.centre, atol=1e-3)
    assert "PSF built from stars" in describe_psf(spec, psf, widths)
    # the same to the bit a second time
    np.testing.assert_array_equal(psf_of(spec).psfs[0].data, single.data)


def test_a_table_without_stars_has_the_same_columns(tmp_path):
    made, _ = drawn(moffat_psf, 9, seed=4, galaxies=0)
    assert no_stars().dtype == star_psf(made.write(tmp_path / "k.fits")).table.dtype and not no_stars().size
