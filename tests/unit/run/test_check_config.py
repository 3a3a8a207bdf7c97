from __future__ import annotations

import copy

import check_config
import numpy as np
import pytest
import smallfield
import yaml
from astropy.io import fits
from small_config import MINIMAL
from unblend.core.errors import ConfigError, InputError


def write(folder, content):
    (folder / "config.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def test_mistakes_in_the_text(tmp_path):
    write(tmp_path, "bands: {k: {image: x.fits[SCI]}}\n")
    with pytest.raises(ConfigError, match=r"config\.yaml: line 1: "):
        check_config.main("--directory", str(tmp_path))


def test_missing_files(tmp_path):
    write(tmp_path, copy.deepcopy(MINIMAL))
    with pytest.raises(InputError, match=r"bands.f125w.image: .*f125w.fits does not exist"):
        check_config.main("--directory", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_file_whose_expressions_snakemake_would_run(tmp_path):
    (tmp_path / "other.yaml").write_text(f"__use_yte__: true\nx: ?open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ConfigError, match=r"other\.yaml: __use_yte__ is not allowed: Snakemake runs the expressions"):
        check_config.main("--directory", str(tmp_path), "--configfile", "other.yaml")
    assert not (tmp_path / "ran").exists()


def test_a_smoothing_in_pixels_is_named(tmp_path, capsys):
    smallfield.write(tmp_path)
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    content["detection"]["conv_fwhm"] = 3.0
    write(tmp_path, content)
    check_config.main("--directory", str(tmp_path))
    said = capsys.readouterr()
    assert "conv_fwhm is 3 arcsec, 50 pixels of the detection image" in said.err and "no mistakes" in said.out


def test_a_map_of_another_kind_is_found_before_any_job(tmp_path, capsys):
    smallfield.write(tmp_path)
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    content["bands"][smallfield.BLURRED]["weight"] = {"file": "blurred.fits", "kind": "rms"}
    write(tmp_path, content)
    with pytest.raises(InputError, match=r"bands\.blurred\.weight: .* is negative in 4\d% of its pixels"):
        check_config.main("--directory", str(tmp_path))


def test_the_table_of_the_images(tmp_path, capsys):
    smallfield.write(tmp_path)
    check_config.main(str(tmp_path / "config.yaml"))
    head, sharp, blurred, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["band", "image", "pixels", "pixel"]
    assert sharp.split()[:2] == ["sharp", "sharp.fits"] and " 272 x 204 " in sharp and " 0.145 " in sharp
    assert " 0.0%" in blurred and " 100% " in blurred and " 0.481 " in blurred


def test_a_psf_wider_than_every_source_is_named(tmp_path, capsys):
    smallfield.write(tmp_path)
    data = np.kron(smallfield.psf(smallfield.BLURRED), np.ones((5, 5)))
    fits.writeto(tmp_path / "blurred-psf.fits", data, overwrite=True)
    check_config.main(str(tmp_path))
    assert "times as wide as the most compact sources of the image" in capsys.readouterr().err


def test_doubtful_regions_and_noise_are_named(tmp_path, capsys):
    smallfield.write(tmp_path)
    (tmp_path / "det_manual.reg").write_text("fk5\ncircle(150.0,2.0,1.5)\npoint(150.0,2.0)\n")
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    content["bands"][smallfield.BLURRED]["rms"] = 5e-5
    write(tmp_path, content)
    check_config.main(str(tmp_path))
    said = capsys.readouterr().err
    assert "line 2: the size 1.5 is in degrees on the sky; for arcsec write 1.5" in said
    assert "line 3: a point encloses no area" in said
    assert "bands.blurred.rms is 5e-05, and the pixels of " in said
