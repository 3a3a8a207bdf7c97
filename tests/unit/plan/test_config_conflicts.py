from __future__ import annotations

import numpy as np
import pytest
from small_config import MINIMAL, load
from unblend.core.errors import ConfigError
from unblend.io.tables import read_table, write_table
from unblend.photometry.catalogue import KINDS, OFFSETS, band_columns
from unblend.plan.config_conflicts import BAND_COLUMNS, conflicts
from unblend.plan.config_values import MAX_BAND_NAME

CATALOGUE_INPUTS = (
    "flux", "flux_err", "flux_err_sim", *(f"flux_err_{kind}" for kind in KINDS), "chi2", "fracflux", "flag",
    "ap_flux", "ap_err", "flux_err_isolated", "worst_neighbour", "correlation",
    *(f"{kind}_arcsec" for kind in OFFSETS),
)  # fmt: skip
BAND = {"image": "a.fits", "psf": "p.fits"}


def columns_of(name):
    fluxes = {key: np.ones(1) for key in CATALOGUE_INPUTS}
    return band_columns(name, fluxes, scale=1.0, error_floor=0.0, zero_point_ab=25.0)


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ([("detection/bands", ["f125"])], "detection.bands: 'f125' is not a defined band; did you mean 'f125w'?"),
        ([("detection/flux_band", "f160")], "detection.flux_band: 'f160' is not a defined band; did you mean 'f160w'?"),
        ([("detection/bands", ["f125w", "f125w"])], "detection.bands: 'f125w' is listed twice; list each band once."),
        ([("bands/f125w/image", ...)], "bands.f125w has no image: give image (a file) or mosaic"),
        ([("bands/f125w/mosaic", "m.fits"), ("bands/f125w/cutout_size", 9)], "bands.f125w has both image and mosaic"),
        ([("bands/f125w/image", ...), ("bands/f125w/mosaic", "m.fits")], "bands.f125w.cutout_size is missing: a band"),
        ([("bands/f125w/psf", ...)], "bands.f125w.psf is missing: expected a FITS image of the PSF."),
        ([("__use_yte__", True)], "__use_yte__ is not allowed: Snakemake runs the expressions of such a file as"),
        ([("__use_yte__", False)], "__use_yte__ is not allowed"),
    ],
)  # fmt: skip
def test_a_conflict_is_a_sentence(edits, sentence):
    with pytest.raises(ConfigError) as caught:
        load(*edits)
    assert str(caught.value).startswith(f"config.yaml: {sentence}") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bands", "column"),
    [
        (("blur", "sim_blur"), "err_sim_blur"),
        (("sim_blur", "blur"), "err_sim_blur"),
        (("blur", "blur_ujy"), "flux_blur_ujy"),
        (("blur", "err_blur"), "mag_err_blur"),
        (("blur", "formal_blur"), "err_formal_blur"),
        (("blur", "shape_blur"), "err_shape_blur"),
        (("BLUR", "blur"), "flux_blur"),
        (("blur", "SIM_blur"), "err_SIM_blur"),
    ],
)
def test_bands_whose_columns_are_equal(bands, column):
    with pytest.raises(ConfigError) as caught:
        load(*((f"bands/{band}", BAND) for band in bands))
    assert str(caught.value) == (
        f"config.yaml: bands: {bands[0]!r} and {bands[1]!r} would both have the column {column} in the catalogue (FITS "
        "does not distinguish upper and lower case); rename one of them."
    )


def test_bands_with_columns_of_their_own():
    load(("bands/blur", BAND), ("bands/blur2", BAND), ("bands/err", BAND), ("bands/24", BAND), ("bands/on", BAND))


def test_the_columns_are_those_of_the_catalogue():
    # a_k is added with extinction
    assert {pattern.format("k") for pattern in BAND_COLUMNS} == {*columns_of("k"), "a_k"}


def test_the_longest_name_fits_the_columns_of_a_fits_table(tmp_path):
    columns = columns_of("b" * MAX_BAND_NAME)
    table = np.ones(1, dtype=[(name, "f8") for name in columns])
    write_table(tmp_path / "t.fits", table)
    assert read_table(tmp_path / "t.fits").dtype.names == tuple(columns)
    assert max(map(len, columns)) == 68


def test_filters_are_the_columns_of_the_sed_codes():
    both = [("bands/f125w/filter", "205"), ("bands/f160w/filter", "205"), ("bands/f125w/zero_point", 25.0)]
    load(*both)  # only one of them has a zero point, and so a column
    with pytest.raises(ConfigError, match="'f125w' and 'f160w' have the same filter name '205', and so the same"):
        load(*both, ("bands/f160w/zero_point", 25.0))
    of_cigale = [(f"bands/{band}/sed_filters", {"cigale": "hst.F160W"}) for band in ("f125w", "f160w")]
    with pytest.raises(ConfigError, match="'f125w' and 'f160w' have the same filter name for CIGALE"):
        load(*of_cigale, *((f"bands/{band}/zero_point", 25.0) for band in ("f125w", "f160w")))


@pytest.mark.parametrize("part", [None, 3, [], ["a"], {"a": 3}, {3: {}}, {"a": None}])
def test_values_of_any_kind_are_passed_over(part):
    for key in MINIMAL:
        assert all(isinstance(sentence, str) for sentence in conflicts({**MINIMAL, key: part}))
