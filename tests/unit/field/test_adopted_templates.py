"""The templates of a band with the amplitudes that its fluxes were fitted with."""

from __future__ import annotations

import numpy as np
import pytest
from unblend.core.types import Box, Template
from unblend.field.adopted_templates import adopted_templates
from unblend.io.tables import columns, write_table
from unblend.io.template_store import write_templates

PLAIN = Template(1, Box(0, 0, 2, 2), np.full((2, 2), 0.25))
KNOTTED = Template(2, Box(0, 0, 1, 4), np.array([[0.4, 0.4, 0.1, 0.1]]), 1.0, np.array([[0.2, 0.0, 0.0, 0.0]]), 0.2)


def write(folder, *templates):
    write_templates(folder / "templates.npz", templates, {t.id: "" for t in templates})


def test_the_details_have_the_amplitudes_of_the_band(tmp_path):
    write(tmp_path, PLAIN, KNOTTED)
    table = columns(id=np.array([1, 2]), detail_amplitude=np.array([1.0, 3.0]))
    write_table(tmp_path / "fluxes.fits", table, name="FLUXES")
    plain, knotted = adopted_templates(tmp_path)
    np.testing.assert_array_equal(plain.data, PLAIN.data)
    # twice the contrast [0.2 − 0.08, −0.08, −0.02, −0.02] is added
    np.testing.assert_allclose(knotted.data, [[0.64, 0.24, 0.06, 0.06]], rtol=1e-6)
    assert knotted.data.sum() == pytest.approx(1.0)


def test_a_source_without_a_flux_keeps_its_detail(tmp_path):
    write(tmp_path, KNOTTED)
    table = columns(id=np.array([9]), detail_amplitude=np.array([3.0]))
    write_table(tmp_path / "fluxes.fits", table, name="FLUXES")
    np.testing.assert_allclose(adopted_templates(tmp_path)[0].data, KNOTTED.data, rtol=1e-6)


def test_without_details_no_fluxes_are_needed(tmp_path):
    write(tmp_path, PLAIN)
    assert [template.id for template in adopted_templates(tmp_path)] == [1]
