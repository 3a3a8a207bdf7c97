"""Subtract every model from the detection stack: the residual of the fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unblend.core.statistics import with_source_noise
from unblend.core.types import Model
from unblend.io.files import read_json
from unblend.io.images import read_array, read_labels, read_wcs, write_image
from unblend.io.models import read_model_header
from unblend.io.psfs import read_psf
from unblend.models.subtraction import subtract_models
from unblend.models.templates import TemplateEngine
from unblend.run.job_log import record_work, run


def main(
    spec_path: str,
    models_path: str,
    stack_path: str,
    error_path: str,
    segments_path: str,
    mask_path: str,
    psf_path: str,
    results_dir: str,
    residual_path: str,
    model_path: str,
) -> None:
    """Write det_stack-sub.fits and det_stack-model.fits.

    A fitted model has the flux of its fit; a user's model is scaled to its segment, with the weights of the fits.
    """
    stack, wcs, segments = read_array(stack_path), read_wcs(stack_path), read_labels(segments_path)
    error = with_source_noise(read_array(error_path), stack, read_json(spec_path)["gain"])
    mask = read_labels(mask_path) != 0
    engine = TemplateEngine(wcs, stack.shape, read_psf(psf_path)[0])

    def models() -> Iterator[tuple[int, Model, bool]]:
        for i in sorted(map(int, read_json(models_path)["models"])):
            model, header = read_model_header(Path(results_dir) / "imfit" / "models" / f"{i}.fits")
            yield i, model, "KEY" in header

    residual = subtract_models(stack, engine, models(), error=error, segments=segments, mask=mask)
    write_image(residual_path, residual, wcs=wcs)
    write_image(model_path, stack - residual, wcs=wcs)
    record_work("subtract", "all")


if __name__ == "__main__":
    run(main)
