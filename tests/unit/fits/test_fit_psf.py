from __future__ import annotations

import numpy as np
import pytest
from changing_psf import drawn_psf
from galaxy_stamps import OPTICAL, SEEN, psf_array
from unblend.core.field_psf import FieldPsf, PixelGrid
from unblend.core.types import Psf
from unblend.fits.fit_psf import fit_psf, fit_psf_at, fit_psfs


def centred(array, side):
    """Return the central square of an odd array, with unit sum."""
    cut = (array.shape[0] - side) // 2
    square = array[cut : cut + side, cut : cut + side]
    return square / square.sum()


def test_the_pixel_response_is_removed_from_an_effective_psf():
    found = fit_psf(Psf(psf_array(), (30.0, 30.0)))
    truth = centred(psf_array(OPTICAL), found.shape[0])
    # the crop removes 1e-3 of the flux, and the edge of the array at 1e-5 of the peak causes some ringing
    assert np.abs(found - truth).max() < 3e-3 * truth.max()
    untreated = centred(psf_array(), found.shape[0])
    assert np.abs(untreated - truth).max() > 0.03 * truth.max()


def test_an_optical_psf_is_only_cropped():
    found = fit_psf(Psf(psf_array(OPTICAL), (30.0, 30.0), kind="optical"))
    assert np.allclose(found, centred(psf_array(OPTICAL), found.shape[0]), atol=1e-12)


def test_the_psf_is_odd_of_unit_sum_and_loses_at_most_three_thousandths_of_the_flux():
    found = fit_psf(Psf(psf_array(), (30.0, 30.0)))
    side = found.shape[0]
    assert side % 2 == 1 and found.shape == (side, side)
    assert found.sum() == pytest.approx(1.0)
    whole = fit_psf(Psf(psf_array(), (30.0, 30.0)), max_flux_loss=0.0)
    cut = (whole.shape[0] - side) // 2
    assert whole[cut:-cut, cut:-cut].sum() == pytest.approx(1.0, abs=3e-3)
    assert fit_psf(Psf(psf_array(), (30.0, 30.0)), max_side=15).shape == (15, 15)


def test_an_even_off_centre_oversampled_psf_gives_the_same_result():
    drawn = SEEN.shift(0.11, -0.07).drawImage(nx=184, ny=180, scale=1 / 3, method="no_pixel").array.astype(float)
    found = fit_psf(Psf(drawn, (89.5 - 0.21, 91.5 + 0.33), 3.0))
    plain = fit_psf(Psf(psf_array(), (30.0, 30.0)))
    # sampled at one pixel, a PSF of FWHM 3 pixels is aliased by 1.6e-3 of its peak; the finer one is not
    assert np.abs(found - centred(plain, found.shape[0])).max() < 3e-3 * plain.max()


@pytest.mark.parametrize("data", [np.zeros((5, 5)), np.full((5, 5), np.nan), -np.ones((5, 5))])
def test_a_psf_without_a_positive_sum_is_an_error(data):
    with pytest.raises(ValueError, match=r"must be finite with a positive sum; the sum found is (0|nan|-25)"):
        fit_psf(Psf(data, (2.0, 2.0)))


def test_the_psfs_of_a_map_get_one_side_and_are_those_of_single_psfs():
    sharp, broad = Psf(drawn_psf(0, 0), (20.0, 20.0), 2.0), Psf(drawn_psf(0, 199), (20.0, 20.0), 2.0)
    field = fit_psfs(FieldPsf((sharp, broad), PixelGrid(np.array([0.0]), np.array([0.0, 200.0]))))
    assert field.kind == "optical" and field.oversampling == 1.0
    singles = [fit_psf(psf) for psf in (sharp, broad)]
    side = max(single.shape[0] for single in singles)
    for psf, single in zip(field.psfs, singles, strict=True):
        assert psf.data.shape == (side, side) and psf.data.sum() == pytest.approx(1.0)
        # a larger square holds up to 3e-3 more of the flux
        assert centred(psf.data, single.shape[0]) == pytest.approx(single, abs=1e-6)


def test_a_fit_has_the_psf_of_its_place_in_the_precision_of_its_file():
    sharp, broad = Psf(drawn_psf(0, 0), (20.0, 20.0), 2.0), Psf(drawn_psf(0, 199), (20.0, 20.0), 2.0)
    field = fit_psfs(FieldPsf((sharp, broad), PixelGrid(np.array([0.0]), np.array([0.0, 200.0]))))
    found = fit_psf_at(field, 7.0, 50.0)
    assert found == pytest.approx(0.75 * field.psfs[0].data + 0.25 * field.psfs[1].data, rel=1e-6, abs=1e-12)
    np.testing.assert_array_equal(found, found.astype(np.float32).astype(float))
