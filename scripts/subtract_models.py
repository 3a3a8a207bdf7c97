"""Subtract every model from the detection stack: the residual of the fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unblend.core.types import Box, Model
from unblend.field.fit_field import FitField
from unblend.io.files import read_json
from unblend.io.images import ROWS_AT_ONCE, read_array, write_strips
from unblend.io.models import read_model_header
from unblend.io.open_images import open_image
from unblend.models.subtraction import subtract_models
from unblend.run.job_log import record_work, run


def main(spec_path: str, results_dir: str, residual_path: str, model_path: str) -> None:
    """Write det_stack-sub.fits and det_stack-model.fits.

    A fitted model has the flux of its fit; a user's model is scaled to its segment, with the weights of the fits.
    """
    results = Path(results_dir)
    field, stack_path = FitField(results, read_json(spec_path)["gain"]), str(results / "det_stack.fits")

    def models() -> Iterator[tuple[int, Model, bool]]:
        for i in sorted(map(int, read_json(field.folder / "models.json")["models"])):
            model, header = read_model_header(field.model_path(i))
            yield i, model, "KEY" in header

    residual = subtract_models(read_array(stack_path), field.engine, models(), field.flux_of)
    rows = [strip.slices for strip in Box.of_shape(residual.shape).strips(ROWS_AT_ONCE)]
    write_strips(residual_path, residual.shape, "f4", (residual[strip] for strip in rows), wcs=field.wcs)
    with open_image(stack_path) as stack:
        model = (stack[strip] - residual[strip] for strip in rows)
        write_strips(model_path, residual.shape, "f4", model, wcs=field.wcs)
    record_work("subtract", "all")


if __name__ == "__main__":
    run(main)
