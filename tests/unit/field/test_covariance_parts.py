from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from unblend.core.split_matrix import SplitMatrix
from unblend.field.covariance_parts import NAME, read_parts, write_parts
from unblend.io.files import DamagedFileError
from unblend.photometry.adopted_covariance import CovarianceParts


def test_parts_there_and_back(tmp_path):
    rng = np.random.default_rng(1)
    noise = SplitMatrix(csr_array(np.diag([1.0, 2.0])), rng.normal(size=(2, 3)), np.array([1.0, -1.0, 1.0]))
    parts = CovarianceParts(np.array([4, 2]), noise, SplitMatrix.zero(2), *rng.normal(size=(2, 2, 100)))
    write_parts(tmp_path, parts)
    found = read_parts(tmp_path)
    np.testing.assert_array_equal(found.ids, parts.ids)
    np.testing.assert_array_equal(found.noise.dense(), noise.dense())
    assert not found.model.dense().any()
    np.testing.assert_allclose(found.model_draws, parts.model_draws, rtol=1e-6)
    (tmp_path / NAME).write_bytes(b"PK")
    with pytest.raises(DamagedFileError, match="is damaged"):
        read_parts(tmp_path)
