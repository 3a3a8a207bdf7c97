from __future__ import annotations

import pytest
from unblend.simulation.psf_components import PsfChange, PsfComponent, changed_psf

TWO = (PsfComponent(0.8, 1.0, beta=4.0), PsfComponent(0.2, 3.0, pa_deg=10.0))


@pytest.mark.parametrize(
    ("up", "right", "width", "angle"),
    [(0.5, 0.5, 1.0, 0.0), (0.0, 0.0, 0.925, -45.0), (1.0, 1.0, 1.075, 45.0), (9.0, -9.0, 0.925, 45.0)],
)
def test_width_and_angle_change_over_the_image(up, right, width, angle):
    found = changed_psf(TWO, PsfChange(), up, right)
    assert [c.fwhm_arcsec for c in found] == pytest.approx([width, 3.0 * width])
    assert [c.pa_deg for c in found] == pytest.approx([angle, 10.0 + angle])
    assert [(c.fraction, c.beta, c.q) for c in found] == [(0.8, 4.0, 0.9), (0.2, None, 0.9)]
