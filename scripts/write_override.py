"""`./unblend override [FIELD] ID`: write a commented overrides/{id}.dat from the current fit of a source."""

from __future__ import annotations

import sys
from pathlib import Path

from unblend.core.coordinates import pixel_scale
from unblend.core.errors import InputError
from unblend.field.fit_field import FitField
from unblend.fits.override_template import starting_text
from unblend.io.files import write_text
from unblend.run.commands import field_parser, read_field_config
from unblend.run.job_log import run

CUSTOM = "custom_models contains a model of this source; as long as it exists, this file has no effect."
DESCRIPTION = "Write a commented overrides/ID.dat from the current fit of a source."


def main(*words: str) -> None:
    """Write the file, or print it; an existing file is never changed."""
    parser = field_parser("override", DESCRIPTION, folder=True)
    parser.add_argument("id", type=int, metavar="ID", help="the source, as in det_cat.reg")
    parser.add_argument("--print", action="store_true", dest="show", help="print the file instead of writing it")
    options = parser.parse_args(words)
    config = read_field_config(options)
    data = Path(config.data_dir)
    custom = (data / config.models.custom_dir / f"{options.id}.fits").exists()
    text = text_for(FitField(Path(config.results_dir)), options.id, CUSTOM if custom else "")
    path = data / config.models.overrides_dir / f"{options.id}.dat"
    if options.show:
        sys.stdout.write(text)
        return
    if path.exists():
        raise InputError(f"{path} exists and is not changed; --print shows the current fit.")
    write_text(path, text)
    sys.stdout.write(f"{path}: edit it, then run the workflow again.\n")


def text_for(field: FitField, source: int, note: str = "") -> str:
    """Return the text for a source.

    Raises
    ------
    InputError
        There are no fits yet, or no such source.
    """
    main_source = field.group_of(source)
    try:
        fit = field.result(main_source, "second")
    except OSError:
        raise InputError(f"the group of source {source} is not fitted yet; run the workflow first.") from None
    member = next((member for member in fit.members if member.id == source), None)
    if member is None:
        raise InputError(f"source {source} has a model in custom_models and is therefore not fitted.")
    scale = pixel_scale(field.wcs, field.shape)
    members = field.groups[main_source]["members"]
    return starting_text(member, int(main_source), members, pixel_scale_arcsec=scale, note=note)


if __name__ == "__main__":
    run(main)
