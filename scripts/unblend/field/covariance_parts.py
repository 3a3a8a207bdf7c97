"""The file in which the extraction of a band leaves its errors in parts, for the covariance of the catalogue."""

from __future__ import annotations

from pathlib import Path

from ..io.covariance_files import as_arrays, from_arrays, read_arrays, write_arrays
from ..photometry.adopted_covariance import CovarianceParts

NAME = "error-parts.npz"
"""Name of the file in the folder of the band."""


def write_parts(folder: Path, parts: CovarianceParts) -> None:
    """Write the parts into the folder of the band; draws with single precision."""
    draws = {f"{name}_draws": getattr(parts, f"{name}_draws").astype("f4") for name in ("noise", "model")}
    matrices = {**as_arrays(parts.noise, "noise_"), **as_arrays(parts.model, "model_")}
    write_arrays(folder / NAME, {"ids": parts.ids, **matrices, **draws})


def read_parts(folder: Path) -> CovarianceParts:
    """Return the parts.

    Raises
    ------
    DamagedFileError
        The file cannot be read.
    """
    found = read_arrays(folder / NAME)
    noise, model = from_arrays(found, "noise_"), from_arrays(found, "model_")
    return CovarianceParts(found["ids"], noise, model, found["noise_draws"], found["model_draws"])
