"""Templates on a few pixels are those of whole stamps, at any shift, also where the band undersamples the PSF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from template_battery import Blur, Grid, Source, model_of, psf_of, wcs_of
from unblend.models.templates import TemplateEngine
from unblend.registration.windowed_templates import WindowedTemplates

SIDE = 41


def engine_of(blur):
    return TemplateEngine(wcs_of(Grid(scale=0.15, side=SIDE)), (SIDE, SIDE), psf_of(blur))


def fitted(*places):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    for y, x in places:
        mask |= np.hypot(rows - y, columns - x) <= 4.0
    return mask


@pytest.mark.parametrize("blur", [Blur(3.0), Blur(1.5, oversampling=3.0)], ids=["sampled", "undersampled"])
def test_a_window_is_a_part_of_the_stamp(blur):
    engine = engine_of(blur)
    models = {1: model_of(Source(n=2.5, r_e=0.3, q=0.5), profile=True), 2: model_of(Source(r_e=0.0))}
    mask = fitted((20, 20), (23, 26))
    maker = WindowedTemplates(lambda i: engine.spectrum(models[i]), mask)
    for shift in [(0.0, 0.0), (0.3, -0.7), (0.3, 1.1), (-2.0, 0.4)]:
        for template in maker([1, 2], shift):
            spectrum = engine.spectrum(models[template.id])
            whole = engine.clipped(template.id, spectrum.stamp(shift), spectrum.box)
            inside = template.box.within(whole.box)
            assert template.data == pytest.approx(whole.data[inside], abs=1e-12)
            found = mask.copy()
            found[template.box.slices] = False
            assert not found.any()


def test_a_source_without_fitted_pixels_has_an_empty_template():
    engine = engine_of(Blur(3.0))
    model = model_of(Source(r_e=0.1), profile=True)
    maker = WindowedTemplates(lambda i: engine.spectrum(model), np.zeros((SIDE, SIDE), dtype=bool))
    assert maker([5], (0.0, 0.0))[0].box.is_empty
    away = replace(model, sky=(model.sky[0] + 1.0, model.sky[1]))
    maker = WindowedTemplates(lambda i: engine.spectrum(away), fitted((20, 20)))
    assert maker([5], (0.0, 0.0))[0].box.is_empty
