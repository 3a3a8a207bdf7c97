"""`./unblend ds9 [FIELD] [BAND]`: show a band or the detection stack in DS9."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import numpy as np
from astropy.visualization import ZScaleInterval
from unblend.core.errors import InputError
from unblend.io.images import read_array
from unblend.io.tables import read_table_header
from unblend.plan.checks import jobs_of
from unblend.plan.config import Config
from unblend.run.commands import field_parser, read_field_config
from unblend.run.ds9 import Ds9Frame, ds9_arguments
from unblend.run.job_log import run
from unblend.run.screen import window_size

Limits = tuple[float, float]


def main(*words: str) -> None:
    """Start DS9, or print its command line."""
    parser = field_parser("ds9", "Open DS9 with a band, its residual and the segments.", folder=True)
    parser.add_argument("band", nargs="?", help="a band's name; without it the detection stack")
    parser.add_argument("--propose", choices=("sim", "border", "bad"), help="load only this proposal, to correct it")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the command, do not start DS9")
    options = parser.parse_args(words)
    if options.band is None and options.folder is not None and not is_field(options.folder):
        options.band, options.folder = options.folder, None
    config = read_field_config(options)
    frames = band_frames(config, options.band, options.propose) if options.band else stack_frames(config)
    title = f"unblend-{options.band or 'stack'}"
    command = ds9_arguments(frames, (config.target.ra, config.target.dec), title, window_size())
    if options.only_print:
        print(shlex.join(command))
        return
    program = shutil.which("ds9")
    if program is None:
        raise InputError(
            "ds9 is not installed: `sudo apt install saods9`, or https://ds9.si.edu; --print shows the command."
        )
    os.execv(program, command)


def is_field(word: str) -> bool:
    """Return whether a single word names a field and not a band: a configuration, its folder, or any other path."""
    return "/" in word or Path(word).is_file() or (Path(word) / "config.yaml").is_file()


def band_frames(config: Config, name: str, proposal: str | None = None) -> list[Ds9Frame]:
    """Return image, residual and segments of a band, with sources, mask, circles, or with a proposal.

    Raises
    ------
    InputError
        There is no such band, or it has not been run.
    """
    if name not in config.bands:
        raise InputError(f"no band {name!r}: expected one of {', '.join(config.bands)}.")
    results = Path(config.results_dir)
    folder, band = results / "bands" / name, config.bands[name]
    image = jobs_of(config, Path(__file__).parent).inputs.image(band)
    drawn = existing(results / "det_cat.reg", folder / "mask.reg", folder / "monte_carlo.reg", folder / "band_only.reg")
    if proposal:  # alone: what DS9 saves is then the user's file
        drawn = (product(folder / f"proposed-{proposal}.reg"),)
    residual = str(product(folder / "residual.fits"))
    of_image, of_residual = limits(image, folder)
    return [
        Ds9Frame(image, drawn, limits=of_image),
        Ds9Frame(residual, drawn, limits=of_residual),
        Ds9Frame(product(results / "det_seg.fits"), existing(results / "det_cat.reg"), labels=True),
    ]


def limits(image: str, folder: Path) -> tuple[Limits | None, Limits | None]:
    """Return the limits of zscale for the image of a band, and the same less its background level for the residual.

    Both are None where the level is not known, because the fluxes are not measured.
    """
    if not (folder / "fluxes.fits").exists():
        return None, None
    level = float(read_table_header(folder / "fluxes.fits")["BACKGR"])  # type: ignore[arg-type]
    level += float(np.nanmedian(read_array(str(folder / "background.fits"))))
    pixels = read_array(image)
    pixels = pixels[np.isfinite(pixels)]
    if not np.isfinite(level) or not pixels.size:
        return None, None
    low, high = (float(limit) for limit in ZScaleInterval().get_limits(pixels))
    return (low, high), (low - level, high - level)


def stack_frames(config: Config) -> list[Ds9Frame]:
    """Return the stack, its model, the residual with the fit groups, and the segments."""
    results = Path(config.results_dir)
    sources = existing(results / "det_cat.reg")
    groups = existing(results / "imfit/groups.reg")
    return [
        Ds9Frame(product(results / "det_stack.fits"), sources),
        Ds9Frame(product(results / "imfit/det_stack-model.fits"), sources),
        Ds9Frame(product(results / "imfit/det_stack-sub.fits"), groups),
        Ds9Frame(product(results / "det_seg.fits"), sources, labels=True),
    ]


def product(path: Path) -> str:
    """Return the path of a product that must be there."""
    if not path.exists():
        raise InputError(f"{path} does not exist: run the workflow first.")
    return str(path)


def existing(*paths: Path) -> tuple[str, ...]:
    """Return those that are there."""
    return tuple(str(path) for path in paths if path.exists())


if __name__ == "__main__":
    run(main)
