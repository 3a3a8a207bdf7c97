from __future__ import annotations

import numpy as np
from unblend.io.files import write_json
from unblend.run.product_record import product_record


def test_versions_files_and_stages(tmp_path):
    image, psf = {"file": "data/k.fits", "digest": "abc"}, {"file": "data/psf.fits", "digest": "def"}
    spec = {"code": "one", "image": image, "psf": {"files": [psf]}, "weight": {"file": "cut.fits", "digest": None}}
    write_json(tmp_path / "specs/extract_fluxes/k/spec.json", spec)
    write_json(tmp_path / "specs/write_catalogue/spec.json", {"code": "two", "error_floor": 0.1})
    write_json(tmp_path / "specs/config.json", {"data_dir": "data"})
    found = product_record(tmp_path, "1.2")
    assert found["inputs"] == {"data/k.fits": "abc", "data/psf.fits": "def"}
    assert found["unblend"] == "1.2" and found["config"] == {"data_dir": "data"}
    assert found["packages"]["numpy"] == np.__version__
    stages = found["stages"]
    assert {name: stage["code"] for name, stage in stages.items()} == {
        "extract_fluxes/k": "one",
        "write_catalogue": "two",
    }
    write_json(tmp_path / "specs/write_catalogue/spec.json", {"code": "two", "error_floor": 0.2})
    later = product_record(tmp_path, "1.2")["stages"]
    assert later["write_catalogue"]["settings"] != stages["write_catalogue"]["settings"]
    assert later["extract_fluxes/k"] == stages["extract_fluxes/k"]
