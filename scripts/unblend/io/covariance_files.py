"""Files of covariances: the parts that a band's extraction leaves, the covariance as NPZ and FITS, and the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..core.split_matrix import SplitMatrix
from .files import DamagedFileError, atomic_path
from .fits_files import new_fits
from .tables import columns


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as NPZ, complete or not at all; the same arrays give the same bytes."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ file by name.

    Raises
    ------
    DamagedFileError
        The file cannot be read.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream) as store:
            return {name: store[name] for name in store.files}
    except (BadZipFile, EOFError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); delete it and run again.") from error


def as_arrays(matrix: SplitMatrix, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a matrix; without a prefix, `scipy.sparse.load_npz` reads the sparse part."""
    sparse = matrix.sparse.tocsr()
    sparse.sort_indices()
    content = {
        "format": np.array(b"csr"), "_is_array": np.array(True), "shape": np.array(sparse.shape),
        "data": sparse.data, "indices": sparse.indices, "indptr": sparse.indptr,
        "columns": matrix.columns, "signs": matrix.signs,
    }  # fmt: skip
    return {prefix + name: values for name, values in content.items()}


def from_arrays(arrays: Mapping[str, np.ndarray], prefix: str = "") -> SplitMatrix:
    """Return the matrix whose arrays have the prefix."""
    from scipy.sparse import csr_array

    data, indices, indptr, shape = (arrays[prefix + name] for name in ("data", "indices", "indptr", "shape"))
    sparse = csr_array((data, indices, indptr), shape=tuple(shape))
    return SplitMatrix(sparse, arrays[prefix + "columns"], arrays[prefix + "signs"])


def write_covariance(npz: str | Path, fits: str | Path, ids: np.ndarray, matrix: SplitMatrix, band: str) -> None:
    """Write the covariance of the fluxes of a band.

    Parameters
    ----------
    npz : path
        For `scipy.sparse.load_npz`, with further arrays `id`, `columns` and `signs`.
    fits : path
        A table COVARIANCE of the elements of the sparse part (id_1, id_2, covariance; each pair once, in the order of
        the catalogue), and a table COMMON of the columns (id, common), their signs in the header.
    ids : int array (n,)
    matrix : SplitMatrix (n, n)
        Image units squared.
    band : str
    """
    write_arrays(npz, {**as_arrays(matrix), "id": ids})
    from scipy.sparse import triu

    part = triu(matrix.sparse).tocsr().tocoo()
    elements = columns(id_1=ids[part.row], id_2=ids[part.col], covariance=part.data)
    signs: dict[str, object] = {f"SIGN{k}": sign for k, sign in enumerate(matrix.signs.astype(int).tolist(), start=1)}
    width = max(matrix.columns.shape[1], 1)
    common = np.zeros((len(ids), width))
    common[:, : matrix.columns.shape[1]] = matrix.columns
    with new_fits(fits) as file:
        file.write(elements, extname="COVARIANCE", header=[{"name": "BAND", "value": band}])
        records = [{"name": name, "value": value} for name, value in {"BAND": band, **signs}.items()]
        file.write(columns(id=ids, common=common), extname="COMMON", header=records)


def write_draws(path: str | Path, draws: np.ndarray, ids: np.ndarray, bands: Sequence[tuple[str, str]]) -> None:
    """Write draws of the fluxes of all bands as a FITS cube.

    Parameters
    ----------
    path : path
    draws : array (n, draws, bands)
        NaN where there is no flux. Also tables SOURCES (id) and BANDS (band, unit) are written.
    ids : int array (n,)
    bands : sequence of (name, unit)
    """
    described = columns(band=np.array([name for name, _ in bands]), unit=np.array([unit for _, unit in bands]))
    with new_fits(path) as file:
        file.write(draws.astype(np.float32), extname="DRAWS")
        file.write(columns(id=ids), extname="SOURCES")
        file.write(described, extname="BANDS")
