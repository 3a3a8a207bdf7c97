"""The templates of a band as its fluxes were fitted: with the adopted amplitudes of the details."""

from __future__ import annotations

from pathlib import Path

from ..core.types import Template
from ..io.tables import read_table
from ..io.template_store import read_templates
from ..photometry.detail_amplitude import with_amplitude


def adopted_templates(folder: Path) -> list[Template]:
    """Return the templates in the folder of a band whose fluxes have been extracted.

    Raises
    ------
    OSError
        A file is missing or damaged.
    """
    templates, _ = read_templates(folder / "templates.npz")
    if all(template.detail is None for template in templates):
        return templates
    fluxes = read_table(folder / "fluxes.fits")
    amplitude = {int(row["id"]): float(row["detail_amplitude"]) for row in fluxes}
    return [with_amplitude(template, amplitude.get(template.id, 1.0)) for template in templates]
