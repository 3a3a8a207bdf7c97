"""Images that two bands share, and extensions that are no images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from astropy.io import fits
from unblend.plan.checks import jobs_of, warn_of_images
from unblend.plan.config import load_config
from unblend.plan.image_checks import images_of_no_sky, same_images

ROOT = Path(__file__).resolve().parents[3]


def found(folder, **images):
    raw = {
        "data_dir": str(folder), "results_dir": str(folder / "results"), "target": {"ra": 53.0, "dec": -27.8},
        "detection": {"bands": [next(iter(images))]}, "models": {"psf": next(iter(images))},
        "bands": {name: {"image": image, "psf": "psf.fits"} for name, image in images.items()},
    }  # fmt: skip
    jobs = jobs_of(load_config(raw), ROOT / "scripts")
    return list(same_images(list(jobs.config.bands.values()), jobs.inputs)), jobs


def write(path, seed):
    planes = [np.random.default_rng(seed + k).normal(size=(4, 4)) for k in range(2)]
    extensions = [fits.ImageHDU(plane, name=name) for plane, name in zip(planes, ("SCI", "ERR"), strict=True)]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(path)


def test_one_file_and_a_copy_of_it_are_named(tmp_path, capsys):
    write(tmp_path / "j.fits", 1)
    shutil.copy(tmp_path / "j.fits", tmp_path / "k.fits")
    (sentence,), jobs = found(tmp_path, j="j.fits[SCI]", k="k.fits[SCI]")
    assert sentence.startswith(f"bands.k: {tmp_path}/k.fits[SCI] has the same pixels as the image of band j (")
    warn_of_images(jobs)
    assert capsys.readouterr().err == f"unblend: {sentence}\n"
    assert len(found(tmp_path, j="j.fits[SCI]", k="j.fits[SCI]", h="j.fits[SCI]")[0]) == 2


def test_other_files_and_other_extensions_are_not(tmp_path):
    write(tmp_path / "j.fits", 1)
    write(tmp_path / "k.fits", 5)
    assert found(tmp_path, j="j.fits[SCI]", k="k.fits[SCI]")[0] == []
    assert found(tmp_path, j="j.fits[SCI]", k="j.fits[ERR]")[0] == []
    assert found(tmp_path, j="missing.fits", k="missing.fits")[0] == []


def test_errors_named_as_the_image(tmp_path, capsys):
    write(tmp_path / "j.fits", 1)
    for extension in ("ERR", "2", "err,1"):
        _, jobs = found(tmp_path, j="j.fits[SCI]", k=f"j.fits[{extension}]")
        (sentence,) = images_of_no_sky(list(jobs.config.bands.values()), jobs.inputs)
        assert sentence.startswith(f"bands.k.image: {tmp_path}/j.fits[{extension}] is the extension ERR, which by its")
        assert sentence.endswith('write "j.fits[SCI]", unless this is meant.')
    warn_of_images(jobs)
    assert capsys.readouterr().err == f"unblend: {sentence}\n"
    for images in ({"j": "j.fits[SCI]"}, {"j": "j.fits[1]"}, {"j": "missing.fits[ERR]"}, {"j": "j.fits[DQ]"}):
        _, jobs = found(tmp_path, **images)
        assert list(images_of_no_sky(list(jobs.config.bands.values()), jobs.inputs)) == []
