"""A merging pair and a clumpy galaxy in HST F814W and in HSC g. Skipped where the data are absent.

Apertures measured with photutils are a second opinion on the fluxes: they need no model but for the light of the other
sources and for the few per cent of light beyond the aperture.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from photutils.aperture import EllipticalAperture
from scipy.ndimage import distance_transform_edt
from test_example import ROOT, snakemake
from unblend.core.coordinates import pixel_scale, sky_to_pixel
from unblend.core.flags import Flag
from unblend.io.images import read_array, read_labels, read_wcs
from unblend.io.tables import read_sources, read_table, read_table_header
from unblend.io.template_store import read_templates
from unblend.photometry.detail_amplitude import with_amplitude
from unblend.photometry.linear_system import model_image

pytestmark = [pytest.mark.integration]
DATA = Path(os.environ.get("UNBLEND_TEST_DATA", ROOT.parent / "shared/data")) / "cosmos-hst-hsc"
IMAGES = {"f814w": "hst-f814w.fits", "hsc-g": "hsc-g.fits"}
"""One band of HSC for the sake of time: the one whose colours differ most from F814W within the galaxies."""
SPIRAL, RED = (150.330022, 2.070345), (150.330217, 2.070840)
CLUMPY = ((150.331051, 2.070291), (150.331041, 2.070134))
BETWEEN = (150.330103, 2.070508)
"""Middle of the merging pair, spiral and red galaxy, which are one source in HSC."""
CLUMPY_CENTRE = (150.331048, 2.070217)
MIN_LIGHT = 0.8
"""Smallest fraction of the light of a source in its aperture."""


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not here")
    folder = tmp_path_factory.mktemp("cosmos")
    config = yaml.safe_load((DATA / "config.yaml").read_text())
    config["bands"] = {band: config["bands"][band] for band in IMAGES}
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "data_dir": str(DATA)}))
    snakemake(folder, *(f"results/bands/{band}/fluxes.fits" for band in IMAGES))
    return folder / "results"


def source_at(results: Path, place: tuple[float, float]) -> int:
    sources = read_sources(results / "det_cat.fits")
    east = (sources["ra"] - place[0]) * np.cos(np.deg2rad(place[1]))
    distance = 3600.0 * np.hypot(east, sources["dec"] - place[1])
    assert distance.min() < 0.3
    return int(sources["id"][np.argmin(distance)])


def sky_level(results: Path, band: str) -> float:
    """Return the background: far from all sources in F814W, that of the solution in HSC, where no pixel is empty."""
    if band != "f814w":
        return float(read_table_header(results / f"bands/{band}/fluxes.fits")["BACKGR"])
    far = distance_transform_edt(read_labels(str(results / "det_seg.fits")) == 0) > 0.75 / 0.03
    return float(np.median(read_array(str(DATA / IMAGES[band]))[far]))


def aperture_over_catalogue(results, band, ids, centre, radius_arcsec, axis_ratio=1.0) -> float:
    """Return the flux in an aperture, corrected for the light beyond it, over the sum of the catalogue's fluxes.

    The aperture is elongated along the y axis of the images, which are aligned.
    """
    folder, path = results / "bands" / band, str(DATA / IMAGES[band])
    image, wcs, table = read_array(path), read_wcs(path), read_table(folder / "fluxes.fits")
    templates = [
        with_amplitude(template, float(amplitude))
        for template, amplitude in zip(
            read_templates(folder / "templates.npz")[0], table["detail_amplitude"], strict=True
        )
    ]
    flux, is_own = np.nan_to_num(table["flux"]), np.isin(table["id"], ids)
    own, others = (model_image(templates, np.where(chosen, flux, 0.0), image.shape) for chosen in (is_own, ~is_own))
    y, x = sky_to_pixel(wcs, np.array([centre[0]]), np.array([centre[1]]))
    scale = pixel_scale(wcs, image.shape)
    axes = radius_arcsec / scale / np.sqrt(axis_ratio), radius_arcsec / scale * np.sqrt(axis_ratio)
    aperture = EllipticalAperture((float(x[0]), float(y[0])), *axes, theta=np.pi / 2)
    found, light = (
        float(aperture.do_photometry(np.asarray(part, dtype=float))[0][0])
        for part in (image - sky_level(results, band) - others, own)
    )
    assert light > MIN_LIGHT * flux[is_own].sum()
    return found / light


def test_fluxes_agree_with_growth_curves(results):
    spiral, red, *clumpy = (source_at(results, place) for place in (SPIRAL, RED, *CLUMPY))
    ratios = {("f814w", "spiral"): aperture_over_catalogue(results, "f814w", [spiral], SPIRAL, 1.2)}
    ratios["f814w", "red"] = aperture_over_catalogue(results, "f814w", [red], RED, 1.0)
    for band in IMAGES:
        ratios[band, "pair"] = aperture_over_catalogue(results, band, [spiral, red], BETWEEN, 2.4)
        ratios[band, "clumpy"] = aperture_over_catalogue(results, band, clumpy, CLUMPY_CENTRE, 1.5, 0.6)
    away = np.abs(np.array(list(ratios.values())) - 1.0)
    assert len(away) == 6 and np.median(away) < 0.03 and away.max() < 0.10


def test_the_sky_of_no_bright_fit_is_at_its_limit(results):
    """Each was 2 errors below the measured level when it could be anywhere between its limits."""
    fits = read_table(results / "imfit/sersic.fits")
    bright = [source_at(results, place) for place in (SPIRAL, RED, *CLUMPY)]
    flags = fits["flag"][np.isin(fits["id"], bright)]
    assert not np.any(flags & int(Flag.SKY_ON_BOUND | Flag.BEYOND_GROWTH_CURVE | Flag.SKY_HELD))
