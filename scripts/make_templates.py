"""Make the templates of a band; those whose model, PSF, grid and shift are unchanged are kept."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

import numpy as np
from unblend.core.coordinates import pixel_scale, sky_to_pixel
from unblend.field.band_data import adopted_field, adopted_shift
from unblend.field.failed_band import CUTOUT, PSF, failure_of
from unblend.io.files import digest_of, file_digest, keep_second_copy, read_json
from unblend.io.images import read_shape, read_wcs
from unblend.io.models import read_model
from unblend.io.psfs import read_psf
from unblend.io.tables import read_sources
from unblend.io.template_store import as_stored, read_templates, write_templates
from unblend.models.templates import TemplateEngine
from unblend.run.job_log import record_work, run

log = logging.getLogger("unblend.models.templates")

REACH = 20.0
"""Farthest light of a source beside a tile, in rms lengths of its major axis, before the PSF."""


def main(spec_path: str, results_dir: str, templates_path: str) -> None:
    """Write the templates of all models, in the order of their IDs."""
    spec, results = read_json(spec_path), Path(results_dir)
    copy = Path(templates_path).with_name(f".{Path(templates_path).name}")
    if failure_of(spec["band"], results, (CUTOUT, PSF)) is not None:
        write_templates(templates_path, [], {})
        # those of the copy may be on the grid of another cutout
        copy.unlink(missing_ok=True)
        record_work("templates", spec["band"])
        return
    psf_path = results / "bands" / spec["band"] / "psf.fits"
    image = spec["image"]["file"]
    shift, field = adopted_shift(spec, results), adopted_field(spec, results)
    engine = TemplateEngine(read_wcs(image), read_shape(image), read_psf(str(psf_path))[0], shift, field)
    shifts = [*shift] if field is None else [*shift, field.as_json()]
    common = digest_of([spec["code"], spec["image"]["digest"], file_digest(psf_path), shifts])
    models = read_json(results / "imfit" / "models.json")["models"]
    sources = read_sources(str(results / "det_cat.fits"))
    near = near_tile(sources, engine, results) if "tile" in spec else set(map(int, models))
    keys = {int(i): digest_of([common, model["digest"]]) for i, model in models.items() if int(i) in near}
    # Snakemake deletes the file of the templates before the job
    kept = unchanged(copy, keys)
    made = dict(kept)
    for i in in_order(engine, sources, keys.keys() - kept.keys()):
        made[i] = as_stored(engine.template(i, read_model(results / "imfit" / "models" / f"{i}.fits")))
    templates = [made[i] for i in sorted(keys)]
    log.info("%s: %d templates made, %d kept", spec["band"], len(templates) - len(kept), len(kept))
    write_templates(templates_path, templates, keys)
    keep_second_copy(templates_path, copy)
    record_work("templates", spec["band"])


def near_tile(sources: np.ndarray, engine: TemplateEngine, results: Path) -> set[int]:
    """Return the sources whose light may reach a tile: those in it, and those beside it as far as the PSF extends."""
    y, x = sky_to_pixel(engine.wcs, sources["ra"], sources["dec"])
    beside = [np.maximum(np.maximum(-at, at - side), 0.0) for at, side in zip((y, x), engine.shape, strict=True)]
    stack = str(results / "det_stack.fits")
    to_pixels = pixel_scale(read_wcs(stack), read_shape(stack)) / pixel_scale(engine.wcs, engine.shape)
    reach = REACH * sources["a"] * to_pixels + np.hypot(*engine.psf.reach)
    return set(sources["id"][np.hypot(*beside) <= reach].tolist())


def in_order(engine: TemplateEngine, sources: np.ndarray, ids: Collection[int]) -> list[int]:
    """Return sources in an order in which those that share PSFs of the band's map follow each other."""
    sources = sources[np.isin(sources["id"], list(ids))]
    listed = [int(i) for i in sources["id"][engine.psf_order(sources["ra"], sources["dec"])]]
    return [*listed, *sorted(set(ids) - set(listed))]


def unchanged(path: Path, keys: dict[int, str]) -> dict:
    """Return the templates of an earlier run that would be made the same again."""
    try:
        templates, old_keys = read_templates(path)
    except (OSError, ValueError, KeyError, EOFError):
        return {}
    return {t.id: t for t in templates if keys.get(t.id) == old_keys[t.id]}


if __name__ == "__main__":
    run(main)
