from __future__ import annotations

import numpy as np
from changing_psf import SHAPE, drawn_psf, image_header
from unblend.core.coordinates import pixel_to_sky
from unblend.core.field_psf import FieldPsf, PixelGrid, Polygons
from unblend.core.flags import Flag
from unblend.core.types import Model, Psf
from unblend.field.psf_flags import psf_flags
from unblend.io.world_coordinates import wcs_from_header
from unblend.models.templates import TemplateEngine

PSF = Psf(drawn_psf(0, 0), (20.0, 20.0), 2.0)


def engine_of(places, number):
    wcs = wcs_from_header(dict(image_header(0.2)), "image", shape=SHAPE)
    return TemplateEngine(wcs, SHAPE, FieldPsf((PSF,) * number, places))


def points(engine, places):
    ra, dec = pixel_to_sky(engine.wcs, *np.array(places, dtype=float).T)
    sky = enumerate(zip(ra, dec, strict=True), 1)
    return {i: Model(np.ones((1, 1)), (0.0, 0.0), (float(a), float(d)), np.eye(2), 1.0, False) for i, (a, d) in sky}


def test_sources_far_outside_are_flagged_and_all_outside_are_counted(caplog):
    square = np.array([[0.0, 0.0], [0.0, 40.0], [120.0, 40.0], [120.0, 0.0]])
    engine = engine_of(Polygons.of_lines([(0, 0, square)]), 1)
    # inside; 4 and 12 arcsec outside; as far, but off the image; not in the band at all
    models = points(engine, [(60, 20), (60, 60), (60, 100), (60, 250)])
    flags = psf_flags(engine, models, [1, 2, 3, 4, 9], np.array([6.0]), "k")
    far = int(Flag.PSF_FROM_AFAR)
    assert flags.tolist() == [0, 0, far, far, 0]
    assert caplog.messages == [
        "k: 2 of 5 sources lie outside the map of PSFs, by up to 12.0 arcsec; they use the PSF of its "
        "nearest place (flag psf_from_afar beyond 10 arcsec)."
    ]


def test_only_sources_with_an_undersampled_psf_are_flagged(caplog):
    engine = engine_of(PixelGrid(np.array([0.0]), np.array([0.0, 100.0])), 2)
    models = points(engine, [(60, 0), (60, 40), (60, 60), (60, 100)])
    flags = psf_flags(engine, models, [1, 2, 3, 4], np.array([2.0, 3.0]), "k")
    assert (flags & Flag.PSF_UNDERSAMPLED != 0).tolist() == [True, True, False, False]
    assert not (flags & Flag.PSF_FROM_AFAR).any()
