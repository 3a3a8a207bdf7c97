"""The files of one fit group, in IMFIT's formats: whoever has the `imfit` program can repeat every fit by hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..fits.exact_model import ExactModel
from ..fits.group_data import GroupData, group_pixels
from ..fits.imfit import evaluate_blocks, psf_for
from ..fits.imfit_config import ImfitConfig, format_config
from ..fits.override_groups import origin_line
from ..fits.refinement import exact_image
from ..fits.result import GroupFit, best_config, single_configs, start_config
from ..io.files import write_text
from ..io.images import cut_sky_cards, write_image
from .stored_fits import FILES, FILES_OF_SOURCE, PICTURE

FIT_SCRIPT = """#!/bin/sh
# Repeats the fit with the imfit program; run from anywhere.
cd "$(dirname "$0")" || exit 1
imfit {top}img.fits --config {config} --noise {top}error.fits --mask {mask} --psf {top}psf.fits \\
    --save-params {best} --save-residual {residual} --ftol 1e-6 || exit 1
# imfit keeps no comments: the position of the cutout is written again, so that the result can be an override
{{ echo '# {place}'; cat {best}; }} > {best}.new && mv {best}.new {best}
"""

MAKE_SCRIPT = """#!/bin/sh
# Draws the model of source {id} {how} with IMFIT's makeimage program, on the pixels of the cutout; run from anywhere.
cd "$(dirname "$0")" || exit 1
exec makeimage imfit_bestfit_full_{id}.dat --refimage ../img.fits {psf}--output {out}_{id}.fits
"""


def write_group_files(
    folder: Path, data: GroupData, psf: np.ndarray, fit: GroupFit, *, sky: Mapping[str, object] | None = None
) -> None:
    """Write the cutouts and IMFIT's files of a group, and those of each source alone in `indiv`.

    Positions in the files are 1-based pixels of the cutout. The image is the one that was fitted: neighbours, the
    user's own models and the slope of the sky are subtracted.

    Parameters
    ----------
    folder : Path
        imfit/{main}.
    data : GroupData
        What the second pass has fitted.
    psf : array
        PSF of the fit.
    fit : GroupFit
        Its result. If it has been refined, IMFIT's files have IMFIT's own result, and `refined.dat` and
        `refined_res.fits` the refined one.
    sky : mapping or None
        The cards that place the stack on the sky, for the headers of the cutouts.
    """
    _write_refined(folder, data, psf, fit)
    fit = fit.by_imfit or fit
    pixels = group_pixels(data)
    header = None if sky is None else cut_sky_cards(sky, data.box)
    write_image(folder / "img.fits", data.image, header=header)
    write_image(folder / "seg.fits", np.asarray(data.segments, dtype=np.int32), header=header)
    write_image(folder / "mask.fits", pixels.mask, header=header)
    write_image(folder / "error.fits", pixels.error, header=header)
    write_image(folder / "psf.fits", psf_for([block for member in fit.members for block in member.blocks], psf))
    residual = _residual(best_config(fit), data, psf)
    _write_fit(folder, "", start_config(fit), best_config(fit), residual, data)
    _write_fit_script(folder / "fit.sh", "", "", "mask.fits", data)
    inner = folder / "indiv"
    for member in fit.members:
        own = f"_{member.id}"
        start, best = single_configs(fit, member.id)
        write_image(inner / f"mask{own}.fits", group_pixels(data, member.id).mask)
        # a source that is its group has been drawn already
        _write_fit(inner, own, start, best, _residual(best, data, psf) if member.single else residual, data)
        write_text(inner / f"imfit_bestfit_full{own}.dat", _text(ImfitConfig(member.blocks), data))
        _write_fit_script(inner / f"fit{own}.sh", own, "../", f"mask{own}.fits", data)
        _write_make_scripts(inner, member.id)


def remove_group_files(folder: Path) -> None:
    """Delete the files that `write_group_files` has written to the folder of a group, and their picture."""
    of_sources = (f"indiv/{name.format('[0-9]*')}" for name in FILES_OF_SOURCE)
    for pattern in (*FILES, *of_sources, PICTURE):
        for path in folder.glob(pattern):
            path.unlink()
    with suppress(OSError):  # there is none, or files of the user are in it
        (folder / "indiv").rmdir()


def _write_refined(folder: Path, data: GroupData, psf: np.ndarray, fit: GroupFit) -> None:
    """Write the refined models in IMFIT's format and their residual; delete those of an earlier fit otherwise."""
    paths = folder / "refined.dat", folder / "refined_res.fits"
    if fit.by_imfit is None:
        for path in paths:
            path.unlink(missing_ok=True)
        return
    place = origin_line(data.box.y0, data.box.x0)
    header = (
        f"{place}\nimfit_bestfit.dat refined with exact profiles\n"
        f"chi2 {fit.exact_chi2:.4f} for {fit.n_pixels} pixels (IMFIT, with its own models: {fit.chi2:.4f})"
    )
    write_text(paths[0], format_config(best_config(fit), (data.box.y0, data.box.x0), header=header))
    write_image(paths[1], data.image - exact_image(fit, ExactModel(group_pixels(data), psf)))


def _text(config: ImfitConfig, data: GroupData) -> str:
    """Return IMFIT's text in pixels of the cutout, which the first line places on the stack."""
    origin = data.box.y0, data.box.x0
    return format_config(config, origin, header=origin_line(*origin))


def _residual(best: ImfitConfig, data: GroupData, psf: np.ndarray) -> np.ndarray:
    """Return what a fit leaves of the cutout."""
    return data.image - evaluate_blocks(best.blocks, data.box, psf)


def _write_fit(
    folder: Path, own: str, start: ImfitConfig, best: ImfitConfig, residual: np.ndarray, data: GroupData
) -> None:
    """Write the start, the best fit and the residual of one fit."""
    write_text(folder / f"imfit_config{own}.dat", _text(start, data))
    write_text(folder / f"imfit_bestfit{own}.dat", _text(best, data))
    write_image(folder / f"imfit_bestfit_res{own}.fits", residual)


def _write_fit_script(path: Path, own: str, top: str, mask: str, data: GroupData) -> None:
    """Write the script that repeats a fit."""
    text = FIT_SCRIPT.format(
        top=top,
        mask=mask,
        config=f"imfit_config{own}.dat",
        best=f"imfit_bestfit{own}.dat",
        residual=f"imfit_bestfit_res{own}.fits",
        place=origin_line(data.box.y0, data.box.x0),
    )
    _write_script(path, text)


def _write_make_scripts(folder: Path, id_: int) -> None:
    """Write the scripts that draw a source's model, without and with the PSF."""
    plain = MAKE_SCRIPT.format(id=id_, how="un-convolved", psf="", out="model")
    seen = MAKE_SCRIPT.format(id=id_, how="as the PSF shows it", psf="--psf ../psf.fits ", out="model_conv")
    _write_script(folder / f"make_{id_}.sh", plain)
    _write_script(folder / f"make_conv_{id_}.sh", seen)


def _write_script(path: Path, text: str) -> None:
    write_text(path, text)
    path.chmod(0o755)
