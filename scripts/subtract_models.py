"""Subtract every model from the detection stack: the residual of the fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from unblend.core.statistics import with_source_noise
from unblend.core.types import Box, Model, Template
from unblend.field.stack_noise import typical_noise
from unblend.io.files import read_json
from unblend.io.images import ROWS_AT_ONCE, read_shape, read_wcs, write_strips
from unblend.io.models import read_model_header
from unblend.io.open_images import open_image, open_labels
from unblend.io.psfs import read_psf
from unblend.io.scratch import on_disk
from unblend.models.subtraction import flux_in_segment, subtract_models
from unblend.models.templates import TemplateEngine
from unblend.run.job_log import record_work, run


def main(spec_path: str, results_dir: str, residual_path: str, model_path: str) -> None:
    """Write det_stack-sub.fits and det_stack-model.fits.

    A fitted model has the flux of its fit; a user's model is scaled to its segment, with the weights of the fits.
    """
    results, gain = Path(results_dir), read_json(spec_path)["gain"]
    stack_path, error_path, segments_path = (str(results / f"det_{name}.fits") for name in ("stack", "error", "seg"))
    wcs, typical = read_wcs(stack_path), typical_noise(Path(stack_path))
    shape = read_shape(stack_path)
    engine = TemplateEngine(wcs, shape, read_psf(str(results / "imfit/psf.fits"))[0])

    def models() -> Iterator[tuple[int, Model, bool]]:
        for i in sorted(map(int, read_json(results / "imfit/models.json")["models"])):
            model, header = read_model_header(results / "imfit/models" / f"{i}.fits")
            yield i, model, "KEY" in header

    with (
        open_image(stack_path) as stack,
        open_image(error_path) as error,
        open_labels(segments_path) as segments,
        open_labels(str(results / "imfit/mask.fits")) as mask,
    ):

        def flux_of(template: Template) -> float:
            """Return the flux of a user's model in its segment."""
            window = template.box.slices
            noise = with_source_noise(error[window], stack[window], gain, typical)
            return flux_in_segment(template, stack[window], noise, segments[window], mask[window] != 0)

        residual = on_disk(results).new(shape, np.float64)
        rows = [strip.slices for strip in Box.of_shape(shape).strips(ROWS_AT_ONCE)]
        for strip in rows:
            residual[strip] = stack[strip]
        subtract_models(residual, engine, models(), flux_of)
        write_strips(residual_path, shape, "f4", (residual[strip] for strip in rows), wcs=wcs)
        model = (stack[strip] - residual[strip] for strip in rows)
        write_strips(model_path, shape, "f4", model, wcs=wcs)
    record_work("subtract", "all")


if __name__ == "__main__":
    run(main)
