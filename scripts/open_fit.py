"""`./unblend open [FIELD] ID`: write IMFIT's files of the fit of a source, and its picture."""

from __future__ import annotations

import sys
from pathlib import Path

from unblend.field.fit_field import FitField
from unblend.field.stored_fits import PICTURE
from unblend.run.commands import field_parser, read_field_config
from unblend.run.draw_pictures import draw_group
from unblend.run.job_log import run
from unblend.run.second_pass import passes_by_group

DESCRIPTION = (
    "Write IMFIT's files of the fit of a source and its group, and its picture. In a field of one "
    "tile they are there for all fits, in a larger one only for the worst."
)


def main(*words: str) -> None:
    """Write the files, and print the folder in which they are."""
    parser = field_parser("open", DESCRIPTION, folder=True)
    parser.add_argument("id", type=int, metavar="ID", help="the source, as in det_cat.reg")
    options = parser.parse_args(words)
    config = read_field_config(options)
    field = FitField(Path(config.results_dir), config.models.gain)
    group = field.group_of(options.id)
    passes_by_group(field, [group])[group].write_again(group)
    draw_group(field, group, "")
    sys.stdout.write(f"{field.folder / group}: {PICTURE}, img.fits, imfit_config.dat, imfit_bestfit.dat ...\n")


if __name__ == "__main__":
    run(main)
