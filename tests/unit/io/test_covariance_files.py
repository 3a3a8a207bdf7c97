from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.sparse import csr_array, load_npz
from unblend.core.split_matrix import SplitMatrix
from unblend.io.covariance_files import (
    as_arrays,
    from_arrays,
    read_arrays,
    write_arrays,
    write_covariance,
    write_draws,
)
from unblend.io.files import DamagedFileError

PAGE = Path(__file__).resolve().parents[3] / "docs/covariance.md"
IDS = np.array([3, 1, 7])
SPARSE = np.array([[4.0, -1.0, 0.0], [-1.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
MATRIX = SplitMatrix(csr_array(SPARSE), np.array([[1.0, 2.0], [0.5, 0.0], [0.0, 0.0]]), np.array([1.0, -1.0]))


def test_the_covariance_as_the_documentation_reads_it(tmp_path):
    npz, table = tmp_path / "covariance.npz", tmp_path / "covariance.fits"
    write_covariance(npz, table, IDS, MATRIX, "irac-ch1")
    np.testing.assert_array_equal(load_npz(npz).toarray(), SPARSE)
    with np.load(npz) as found:
        common = (found["columns"] * found["signs"]) @ found["columns"].T
        np.testing.assert_array_equal(found["id"], IDS)
    np.testing.assert_allclose(load_npz(npz).toarray() + common, MATRIX.dense())
    elements = Table.read(table, hdu="COVARIANCE")
    assert [tuple(row) for row in elements] == [(3, 3, 4.0), (3, 1, -1.0), (1, 1, 9.0)]
    shared = Table.read(table, hdu="COMMON")
    np.testing.assert_array_equal(shared["common"], MATRIX.columns)
    assert [shared.meta[name] for name in ("SIGN1", "SIGN2", "BAND")] == [1, -1, "irac-ch1"]


def test_a_band_without_any_flux(tmp_path):
    npz, table = tmp_path / "covariance.npz", tmp_path / "covariance.fits"
    write_covariance(npz, table, IDS, SplitMatrix.zero(3), "ks")
    assert load_npz(npz).nnz == 0 and len(Table.read(table, hdu="COVARIANCE")) == 0


def test_arrays_there_and_back(tmp_path):
    path = tmp_path / "parts.npz"
    write_arrays(path, {**as_arrays(MATRIX, "noise_"), "ids": IDS})
    found = read_arrays(path)
    np.testing.assert_allclose(from_arrays(found, "noise_").dense(), MATRIX.dense())
    np.testing.assert_array_equal(found["ids"], IDS)
    before = path.read_bytes()
    write_arrays(path, found)
    assert path.read_bytes() == before
    path.write_bytes(before[:100])
    with pytest.raises(DamagedFileError, match=r"parts\.npz is damaged .*delete it and run again"):
        read_arrays(path)


def test_the_cube_of_draws(tmp_path):
    draws = np.random.default_rng(1).normal(size=(3, 100, 2))
    write_draws(tmp_path / "draws.fits", draws, IDS, [("f160w", "uJy"), ("muse", "image units")])
    with fits.open(tmp_path / "draws.fits") as found:
        np.testing.assert_allclose(found["DRAWS"].data, draws, rtol=1e-6)
        assert found["DRAWS"].header["NAXIS1"] == 2
        assert found["SOURCES"].data["id"].tolist() == IDS.tolist()
        assert [tuple(row) for row in found["BANDS"].data] == [("f160w", "uJy"), ("muse", "image units")]


def test_the_examples_of_the_documentation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder, rng, ids = tmp_path / "results/bands/irac-ch1", np.random.default_rng(2), np.array([3, 12, 5])
    folder.mkdir(parents=True)
    matrix = SplitMatrix(MATRIX.sparse, MATRIX.columns[:, :1], np.ones(1))
    write_covariance(folder / "covariance.npz", folder / "covariance.fits", ids, matrix, "irac-ch1")
    draws = 10.0 + rng.normal(size=(3, 100, 2))
    write_draws(tmp_path / "results/flux_draws.fits", draws, ids, [("f160w", "uJy"), ("ks", "uJy")])
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    scope: dict = {}
    exec(first, scope)
    exec(second, scope)
    scope["cube"].close()
    scope["file"].close()
    colour, pair, error = map(float, capsys.readouterr().out.split())
    assert colour == pytest.approx((draws[2, :, 1] / draws[2, :, 0]).std(), rel=1e-4)
    assert pair == pytest.approx((draws[1] + draws[2])[:, 1].std(), rel=1e-4)
    # the sources 12 and 5: 9, and nothing sparse of the last; the column 0.5, 0
    assert error == pytest.approx(np.sqrt(9.0 + 0.25))
