"""The stack minus every model: what the fits have left over."""

from __future__ import annotations

from pathlib import Path

from unblend.fit_psf import as_psf
from unblend.io.files import read_json
from unblend.io.images import read_array, read_model, read_wcs, write_image
from unblend.runlog import record_work, run
from unblend.templates import TemplateEngine


def main(models_path: str, stack_path: str, psf_path: str, results_dir: str, out_path: str) -> None:
    """Write det_stack-sub.fits: the flux is that of the fit, of a user's model that of its own segment."""
    residual, wcs = read_array(stack_path), read_wcs(stack_path)
    engine = TemplateEngine(wcs, residual.shape, as_psf(read_array(psf_path)))
    for i in sorted(map(int, read_json(models_path)["models"])):
        model = read_model(Path(results_dir) / "imfit" / "models" / f"{i}.fits")
        template = engine.template(i, model)
        if not template.box.is_empty:
            residual[template.box.slices] -= model.total * template.data
    write_image(out_path, residual, wcs=wcs)
    record_work("subtract", "all")


if __name__ == "__main__":
    run(main)
