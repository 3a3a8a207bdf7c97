from __future__ import annotations

import os

import fitsio
import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.errors import InputError
from unblend.fitting import fit_first_pass, fit_second_pass
from unblend.imfit import Pixels, evaluate_blocks
from unblend.io.imfit_files import read_config, write_group_files

ORIGIN = (BOX.y0, BOX.x0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    data = group([galaxy(24.3, 20.6, 3000.0, 1.0, 4.0, 0.4, 30.0), galaxy(30.0, 33.0, 2000.0, 2.0, 3.0, 0.2, 80.0)])
    fit = fit_second_pass(data, fitting_psf(), fit_first_pass(data, fitting_psf()))
    folder = tmp_path_factory.mktemp("imfit") / "1"
    write_group_files(folder, data, fitting_psf(), fit)
    return folder, data, fit


def test_the_files_of_the_manual_are_there(written):
    folder, _, _ = written
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"img.fits", "seg.fits", "mask.fits", "error.fits", "psf.fits", "fit.sh"} <= names
    assert {"imfit_config.dat", "imfit_bestfit.dat", "imfit_bestfit_res.fits"} <= names
    for id_ in (1, 2):
        inner = (
            "imfit_config_{}.dat",
            "imfit_bestfit_{}.dat",
            "imfit_bestfit_full_{}.dat",
            "imfit_bestfit_res_{}.fits",
        )
        assert {f"indiv/{name.format(id_)}" for name in (*inner, "mask_{}.fits", "fit_{}.sh")} <= names
    assert os.access(folder / "fit.sh", os.X_OK)


def test_the_best_fit_reads_back_and_reaches_the_same_chi2(written):
    folder, _, fit = written
    config = read_config(folder / "imfit_bestfit.dat", ORIGIN)
    assert [block.id for block in config.blocks] == [1, 2, None]
    for block, member in zip(config.blocks, fit.members, strict=False):
        # moving 220 to 20 and back costs the last bits
        assert block.x0.value == pytest.approx(member.blocks[0].x0.value, rel=1e-14)
        assert block.functions[0]["n"].value == member.sersic.n
    image, error, mask = (fitsio.read(folder / f"{name}.fits") for name in ("img", "error", "mask"))
    pixels = Pixels(BOX, image, error, mask > 0)
    model = evaluate_blocks(config.blocks, BOX, fitsio.read(folder / "psf.fits").astype(float))
    chi2 = (((image - model) / error)[~pixels.mask] ** 2).sum()
    assert chi2 == pytest.approx(fit.chi2, rel=1e-5)  # float32 on disk
    residual = fitsio.read(folder / "imfit_bestfit_res.fits")
    assert np.allclose(residual, image - model, atol=1e-4)


def test_the_single_fit_masks_the_others(written):
    folder, data, _ = written
    mask = fitsio.read(folder / "indiv" / "mask_1.fits") > 0
    assert mask[data.segments == 2].all() and not mask[data.segments == 1].any()


def test_the_same_fit_gives_the_same_bytes(written, tmp_path):
    folder, data, fit = written
    write_group_files(tmp_path, data, fitting_psf(), fit)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "imfit_config.dat"
    path.write_text("X0 1\nY0 one\n")
    with pytest.raises(InputError, match=r"imfit_config.dat, line 2"):
        read_config(path)
