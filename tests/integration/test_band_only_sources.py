"""A source that only the blurred band shows, beside a galaxy: the galaxy has its flux with it, a wrong one without."""

from __future__ import annotations

import json

import numpy as np
import pytest
import smallfield
from astropy.io import fits
from harness import CATALOGUE, Field, stages
from smallfield import BLURRED, SHARP
from unblend.core.flags import Flag

pytestmark = pytest.mark.integration
NEIGHBOUR = 7
"""ID of the galaxy beside which the source is drawn."""
OFFSET, FLUX = (-1.8, 2.1), 20.0
"""(dy, dx) in pixels of the blurred band, 0.9 FWHM; S/N 75. The galaxy has 28."""


def place() -> tuple[float, float]:
    galaxy = smallfield.SMALL.galaxies[NEIGHBOUR - 1]
    y, x = smallfield.to_band(galaxy.y, galaxy.x, BLURRED)
    return y + OFFSET[0], x + OFFSET[1]


def draw_lost_source(field: Field) -> None:
    y, x = place()
    sigma = smallfield.PSF_SIGMA_ARCSEC[BLURRED] / smallfield.SCALE_ARCSEC[BLURRED]
    with fits.open(field / f"{BLURRED}.fits", mode="update") as image:
        ny, nx = image[0].data.shape
        image[0].data += FLUX * np.outer(smallfield.in_pixels(ny, y, sigma), smallfield.in_pixels(nx, x, sigma))


def found_in(field: Field, band: str = BLURRED) -> np.ndarray:
    return field.table(f"bands/{band}/band_only.fits")


def pulls(field: Field, error: str = "err") -> np.ndarray:
    """Return (flux − truth) / error of the galaxies in the blurred band, brightest first."""
    table, truth = field.table("catalogue.fits"), [galaxy.flux for galaxy in smallfield.SMALL.galaxies]
    return np.asarray((table[f"flux_{BLURRED}"] - truth) / table[f"{error}_{BLURRED}"])


def test_a_field_in_which_every_source_is_detected_has_none(warm_field):
    for band in (SHARP, BLURRED):
        assert len(found_in(warm_field, band)) == 0
        assert "circle" not in (warm_field / f"results/bands/{band}/band_only.reg").read_text()


def test_the_galaxy_beside_it_has_its_own_flux(field, warm_field):
    draw_lost_source(field)
    messages = field.run().messages
    own, (y, x) = found_in(field), place()
    assert len(own) == 1 and own["nearest_id"][0] == NEIGHBOUR
    # pixels count from 1; the error of the position is the FWHM over the S/N, 0.04 pixels
    assert (own["y"][0] - 1.0, own["x"][0] - 1.0) == pytest.approx((y, x), abs=0.3)
    assert own["flux"][0] == pytest.approx(FLUX, abs=4.0 * own["flux_err"][0])
    assert f"1 source only in {BLURRED}, fitted as points" in messages

    right, row = pulls(field), NEIGHBOUR - 1
    assert abs(right[row] - pulls(warm_field)[row]) < 1.5 and abs(right[row]) < 3.0
    flags = np.asarray(field.table("catalogue.fits")[f"flag_{BLURRED}"])
    assert (flags & int(Flag.BAND_ONLY_NEIGHBOUR) > 0).nonzero()[0].tolist() == [row]
    assert field.table("catalogue.fits")["id"].tolist() == warm_field.table("catalogue.fits")["id"].tolist()

    # it is subtracted with the neighbours, leaves no residual, moves no galaxy, and is on the page
    removed = fits.getdata(field / f"results/bands/{BLURRED}/neighbours-removed.fits")
    assert abs(removed[round(y), round(x)]) < 5.0 * smallfield.RMS[BLURRED]
    residual = fits.getdata(field / f"results/bands/{BLURRED}/residual.fits")
    assert abs(residual[round(y), round(x)]) < 4.0 * smallfield.RMS[BLURRED]
    found = json.loads((field / f"results/bands/{BLURRED}/astrometry.json").read_text())
    assert found["recommendation"] is None
    assert "own 1" in (field / f"results/bands/{BLURRED}/band_only.reg").read_text()

    field.edit_config(lambda c: c["bands"][BLURRED].update(band_only_sources="off"))
    field.redo(stages(BLURRED, "extract", "astrometry", "monte_carlo", "inspect") | CATALOGUE)
    assert len(found_in(field)) == 0
    # the error of the misfit makes up for it; the noise alone does not
    assert pulls(field, "err_formal")[row] > 8.0 and pulls(field)[row] > right[row] + 1.5
