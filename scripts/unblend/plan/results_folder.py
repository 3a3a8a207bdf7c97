"""Whether the folder of the products can hold them without touching what the user has made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PRODUCT_FOLDERS = ("bands", "benchmarks", "imfit", "logs", "report", "specs", "stale")
PRODUCTS = re.compile(r"(det_.*|catalogue\..*|reference_positions\..*|flux_draws\.fits|provenance\.json)")
"""Names of the files that the workflow writes into the folder itself."""


def bad_results_folder(results: Path, inputs: Iterable[tuple[str, str]], folders: Iterable[Path]) -> Iterator[str]:
    """Yield why products must not be written into a folder.

    Parameters
    ----------
    results : Path
        The folder, which need not exist yet.
    inputs : iterable of (str, str)
        Key in the configuration and path of each input file that has to exist.
    folders : iterable of Path
        Folders of the user that hold files for the workflow.
    """
    obstacle = next((part for part in (results.absolute(), *results.absolute().parents) if os.path.lexists(part)), None)
    if obstacle is not None and not obstacle.is_dir():
        yield f"results_dir: {obstacle} is no folder; expected one for the products. Choose another name."
        return
    place = results.resolve()
    for folder in folders:
        if folder.is_dir() and folder.resolve() == place:
            yield (f"results_dir: {results} is a folder of input files ({folder}), among which products could "
                   "overwrite a file of yours; expected a folder of its own, such as results.")  # fmt: skip
            return
    for key, name in inputs:
        path = Path(name).resolve()
        # a segmentation or a list of sources may be a product of the run before (docs/detection.md)
        if key.startswith(("bands.", "models.")) and path.is_relative_to(place) and is_product(path.relative_to(place)):
            yield (f"{key}: {name} lies where this run writes its own products (results_dir: {results}), and would be "
                   "overwritten or moved; copy it to the other input files and name the copy.")  # fmt: skip


def is_product(name: Path) -> bool:
    """Return whether the workflow may write a file, given relative to the folder of the products."""
    return name.parts[0] in PRODUCT_FOLDERS or PRODUCTS.fullmatch(str(name)) is not None
