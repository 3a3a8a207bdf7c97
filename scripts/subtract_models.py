"""The stack minus every model: what the fits have left over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unblend.domain import Template
from unblend.fit_psf import as_psf
from unblend.io.files import read_json
from unblend.io.images import read_array, read_header, read_labels, read_model, read_wcs, write_image
from unblend.runlog import record_work, run
from unblend.templates import TemplateEngine


def main(models_path: str, stack_path: str, segments_path: str, psf_path: str, results_dir: str, out_path: str,
         model_path: str) -> None:  # fmt: skip
    """Write det_stack-sub.fits and det_stack-model.fits.

    The flux is that of the fit; a user's model is scaled to its own segment.
    """
    stack, wcs, segments = read_array(stack_path), read_wcs(stack_path), read_labels(segments_path)
    engine = TemplateEngine(wcs, stack.shape, as_psf(read_array(psf_path)))
    residual = stack.copy()
    for i in sorted(map(int, read_json(models_path)["models"])):
        path = Path(results_dir) / "imfit" / "models" / f"{i}.fits"
        model = read_model(path)
        template = engine.template(i, model)
        if not template.box.is_empty:
            fitted = "KEY" in read_header(str(path))
            flux = model.total if fitted else flux_in_segment(template, stack, segments)
            residual[template.box.slices] -= flux * template.data
    write_image(out_path, residual, wcs=wcs)
    write_image(model_path, stack - residual, wcs=wcs)
    record_work("subtract", "all")


def flux_in_segment(template: Template, stack: np.ndarray, segments: np.ndarray) -> float:
    """Return the flux that fits a template to the pixels of its own segment; 0 where it has none."""
    window = template.box.slices
    own = (segments[window] == template.id) & np.isfinite(stack[window])
    light, data = template.data[own], stack[window][own]
    return float(light @ data / (light @ light)) if np.any(light) else 0.0


if __name__ == "__main__":
    run(main)
