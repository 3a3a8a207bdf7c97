from __future__ import annotations

import numpy as np
import pytest
from unblend.core.coordinates import offset_arcsec
from unblend.simulation import population as sources

WAVES = {"f814w": 0.81, "f160w": 1.54, "irac-ch1": 3.6}
CENTRE = (53.0873, -27.84)


def test_sed_keeps_the_magnitude_of_its_reference_band():
    mags = sources.galaxy_magnitudes(np.array([0.81, 1.54]), 23.0, reference_um=1.54, z=1.0, age=0.5, dust_av=0.3)
    assert mags[1] == pytest.approx(23.0)


def test_passive_and_dusty_galaxies_are_redder():
    waves = np.array([0.81])

    def colour(age: float, dust_av: float) -> float:
        return float(sources.galaxy_magnitudes(waves, 23.0, reference_um=1.54, z=1.0, age=age, dust_av=dust_av)[0])

    assert colour(1.0, 0.0) > colour(0.0, 0.0) + 1.0
    assert colour(0.0, 1.0) > colour(0.0, 0.0) + 0.5


def test_stars_are_fainter_in_irac():
    mags = sources.star_magnitudes(np.array([1.54, 3.6]), 20.0, reference_um=1.54)
    assert mags == pytest.approx([20.0, 21.15])


def test_counts_are_steeper_at_the_bright_end():
    mags = sources.draw_count_magnitudes(np.random.default_rng(0), 200_000, 26.0)
    counts = np.histogram(mags, np.arange(20.0, 26.5))[0]
    slopes = np.diff(np.log10(counts))
    assert mags.min() >= 20.0 and mags.max() <= 26.0
    # slope of log N between 20.5 and 21.5: 0.36 - 0.0125 * 2; between 24.5 and 25.5: 0.36 - 0.0125 * 10
    assert slopes[0] == pytest.approx(0.335, abs=0.03)  # 3000 galaxies in the first bin: 0.01 dex of noise
    assert slopes[-1] == pytest.approx(0.235, abs=0.02)


def test_shapes_are_mostly_discs_that_galsim_can_draw():
    rng = np.random.default_rng(1)
    n, r_e, q, pa = np.array([sources.draw_shape(rng, 24.0) for _ in range(2000)]).T
    assert n.min() >= 0.5 and n.max() <= 6.0
    assert 0.60 < np.mean(n <= 2.0) < 0.80
    assert np.median(r_e) == pytest.approx(0.25, abs=0.03)  # 0.27" for discs, smaller for early types
    assert q.min() >= 0.2 and q.max() <= 1.0 and pa.min() >= 0.0 and pa.max() <= 180.0


def test_sky_at_is_the_inverse_of_the_gnomonic_offset():
    ra, dec = sources.sky_at(CENTRE, 31.0, -17.0)
    east, north = offset_arcsec(np.array([ra]), np.array([dec]), *CENTRE)
    assert (east[0], north[0]) == pytest.approx((31.0, -17.0), abs=1e-7)


def test_population_keeps_its_distances_and_its_order():
    clumpy = sources.SimulatedSource(
        *CENTRE, {"f814w": 21.0, "f160w": 20.5, "irac-ch1": 20.0}, r_e_arcsec=1.0, kind="clumpy"
    )
    drawn = sources.draw_population(
        np.random.default_rng(2),
        WAVES,
        reference="f160w",
        centre=CENTRE,
        side_arcsec=60,
        n_galaxies=100,
        n_stars=3,
        special=[clumpy],
    )
    mags = [s.mags["f160w"] for s in drawn]
    assert len(drawn) == 104 and sum(s.is_star for s in drawn) == 3
    assert mags == sorted(mags)
    east, north = offset_arcsec(np.array([s.ra for s in drawn]), np.array([s.dec for s in drawn]), *CENTRE)
    assert np.abs([east, north]).max() <= 30.0 + 1e-6
    distance = np.hypot(east[:, None] - east, north[:, None] - north) + 99.0 * np.eye(len(drawn))
    assert distance.min() >= 0.6
    assert distance[[s.kind for s in drawn].index("clumpy")].min() >= 4.0 - 1e-6


def test_a_crowded_square_has_no_room():
    big = sources.SimulatedSource(*CENTRE, r_e_arcsec=10.0)
    with pytest.raises(ValueError, match="no room for another source in a square of 4 arcsec"):
        sources.place_source(np.random.default_rng(3), big, [big], centre=CENTRE, side_arcsec=4.0)


def test_a_galaxy_with_parts_is_a_spiral_whose_bulge_is_red_and_whose_knots_are_blue():
    galaxy = sources.SimulatedSource(*CENTRE, {"f160w": 22.0}, n=2.7, r_e_arcsec=0.5, q=0.5, pa_deg=0.0)
    for seed in range(20):
        made = sources.with_parts(np.random.default_rng(seed), galaxy, WAVES, "f160w")
        assert (made.n, made.kind, made.r_e_arcsec) == (1.0, "parts", 0.5)
        shares = {band: np.array([part.share(band) for part in made.parts]) for band in WAVES}
        assert np.all(shares["irac-ch1"][0] > shares["f160w"][0])
        assert np.all(shares["irac-ch1"][1:] < shares["f160w"][1:])
        assert all(0.1 < share.sum() < 1.0 for share in shares.values())  # the disc is never negative
        assert shares["f160w"] == pytest.approx([part.fraction for part in made.parts])
        # The long axis points north: along it the parts reach twice as far as across.
        assert max(abs(part.north_arcsec) for part in made.parts) <= 1.8 * 0.5 + 1e-9
        assert max(abs(part.east_arcsec) for part in made.parts) <= 1.8 * 0.25 + 1e-9


def test_a_galaxy_of_bulge_and_disc_has_a_small_red_bulge():
    galaxy = sources.SimulatedSource(*CENTRE, {"f160w": 22.0}, n=2.7, r_e_arcsec=0.5, q=0.5, pa_deg=0.0)
    for seed in range(20):
        made = sources.with_bulge(np.random.default_rng(seed), galaxy, WAVES, "f160w")
        (bulge,) = made.parts
        assert (made.n, made.kind, bulge.east_arcsec, bulge.north_arcsec) == (1.0, "parts", 0.0, 0.0)
        assert 0.1 < bulge.share("f160w") < 0.6 and bulge.share("f160w") < bulge.share("irac-ch1") < 1.0
        assert 0.06 <= bulge.r_e_arcsec <= 0.175 and 1.5 <= bulge.n <= 4.0 and bulge.q >= 0.5


def test_only_bright_galaxies_of_a_population_have_parts():
    rng, options = np.random.default_rng(3), {"reference": "f160w", "centre": CENTRE, "side_arcsec": 60.0}
    drawn = sources.draw_population(rng, WAVES, n_galaxies=40, n_stars=1, structured_to_ab=24.0, **options)
    assert {s.kind for s in drawn if not s.is_star and s.mags["f160w"] < 24.0} == {"parts"}
    assert {s.kind for s in drawn if s.mags["f160w"] > 24.0} == {"galaxy"}
    smooth = sources.draw_population(rng, WAVES, n_galaxies=40, structured_to_ab=24.0, arms=False, **options)
    assert {len(s.parts) for s in smooth if s.mags["f160w"] < 24.0} == {1}
