from __future__ import annotations

import os
import shutil
import subprocess

import fitsio
import numpy as np
import pytest
from galaxy_stamps import BOX, fitting_psf, galaxy, group
from unblend.core.errors import InputError
from unblend.field.fit_folder import write_group_files
from unblend.fits.group_data import group_starts
from unblend.fits.imfit import Pixels, evaluate_blocks
from unblend.fits.imfit_config import parse_config
from unblend.fits.imfit_loader import load_pyimfit
from unblend.fits.overrides import parse_override
from unblend.fits.passes import fit_first_pass, fit_second_pass

ORIGIN = (BOX.y0, BOX.x0)


def read_config(path, origin=(0, 0)):
    return parse_config(path.read_text(), str(path), origin)


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
        scripts = ("fit_{}.sh", "make_{}.sh", "make_conv_{}.sh")
        assert {f"indiv/{name.format(id_)}" for name in (*inner, "mask_{}.fits", *scripts)} <= names
        assert all(os.access(folder / "indiv" / name.format(id_), os.X_OK) for name in scripts)
    assert os.access(folder / "fit.sh", os.X_OK)


FAKE = """#!/bin/sh
echo "$(basename "$0")" "$@" >> {log}
for word in "$@"; do case $word in *.fits|*.dat) [ -e "$word" ] || echo "to make: $word" >> {log};; esac; done
while [ $# -gt 1 ]; do
  [ "$1" = --save-params ] && printf '# Best-fit model results for imfit\\nX0 1\\n' > "$2"
  shift
done
exit {status}
"""


def run_script(folder, tmp_path, script, status=0):
    """Run a copy of the group's scripts with programs that say how they were called and which files were missing."""
    copy, log = tmp_path / "copy", tmp_path / "log"
    shutil.copytree(folder, copy)
    for program in ("imfit", "makeimage"):
        (tmp_path / program).write_text(FAKE.format(log=log, status=status))
        (tmp_path / program).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([str(copy / script)], env=env, cwd="/", check=False)
    return copy, done.returncode, log.read_text().splitlines()


def test_the_fit_script_finds_its_files_and_says_where_its_cutout_lies(written, tmp_path):
    copy, status, called = run_script(written[0], tmp_path, "indiv/fit_2.sh")
    assert status == 0 and len(called) == 1
    assert called[0].startswith(
        "imfit ../img.fits --config imfit_config_2.dat --noise ../error.fits --mask mask_2.fits --psf ../psf.fits"
    )
    text = (copy / "indiv/imfit_bestfit_2.dat").read_text()
    assert text == "# pixels of the cutout whose first pixel is X=201 Y=101 of det_stack.fits\n" + (
        "# Best-fit model results for imfit\nX0 1\n"
    )
    assert (written[0] / "indiv/imfit_bestfit_2.dat").read_text().startswith(text.splitlines()[0])


def test_the_scripts_that_draw_a_model(written, tmp_path):
    _, status, called = run_script(written[0], tmp_path, "indiv/make_conv_2.sh")
    assert status == 0 and called == [
        "makeimage imfit_bestfit_full_2.dat --refimage ../img.fits --psf ../psf.fits --output model_conv_2.fits",
        "to make: model_conv_2.fits",
    ]


def test_a_fit_that_fails_leaves_no_half_made_file(written, tmp_path):
    copy, status, _ = run_script(written[0], tmp_path, "fit.sh", status=3)
    assert status == 1 and not list(copy.glob("*.new"))


def test_a_best_fit_is_an_override_that_starts_where_it_ended(written):
    """The file of the whole group, put as overrides/2.dat: source 2 starts from its own part."""
    folder, data, fit = written
    override = parse_override((folder / "imfit_bestfit.dat").read_text(), "overrides/2.dat")
    members, _, _ = group_starts(data, fitting_psf(), {2: override})
    start, best = members[1].start[0], fit.by_imfit.member(2).blocks[0]
    assert len(members[1].start) == 1
    for given, wanted in zip(start.parameters, best.parameters, strict=True):
        assert given.value == pytest.approx(wanted.value, rel=1e-12)
    assert start.functions[0]["n"].upper == 8.0 and members[0].flags == 0


def test_pyimfit_reads_our_files(written):
    """The program's own reader, where it is at hand: the same functions, values and limits."""
    # its reader wants an option before the first block, and keeps the last label only
    text = (written[0] / "imfit_config.dat").read_text()
    model = load_pyimfit().parse_config(["GAIN 1", *text.splitlines()])
    ours = read_config(written[0] / "imfit_config.dat", (1, 1))  # positions as they stand in the file
    values = [parameter.value for block in ours.blocks for parameter in block.parameters]
    assert model.functionNameList() == ["Sersic", "Sersic", "FlatSky"]
    assert np.allclose(model.getRawParameters(), values)


def test_the_best_fit_reads_back_and_reaches_the_same_chi2(written):
    folder, _, fit = written
    config = read_config(folder / "imfit_bestfit.dat", ORIGIN)
    assert [block.id for block in config.blocks] == [1, 2, None]
    for block, member in zip(config.blocks, fit.by_imfit.members, strict=False):
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


def test_the_refined_fit_reads_back_and_has_its_own_residual(written):
    folder, _, fit = written
    text = (folder / "refined.dat").read_text()
    assert text.startswith("# pixels of the cutout whose first pixel is X=201 Y=101 of det_stack.fits\n")
    assert f"# chi2 {fit.exact_chi2:.4f} for {fit.n_pixels} pixels (IMFIT, with its own models: {fit.chi2:.4f})" in text
    config = read_config(folder / "refined.dat", ORIGIN)
    for block, member in zip(config.blocks, fit.members, strict=False):
        assert block.id == member.id and block.functions[0]["n"].value == member.sersic.n
        assert block.functions[0]["n"].error == pytest.approx(member.blocks[0].functions[0]["n"].error, rel=1e-5)
        assert member.sersic != fit.by_imfit.member(member.id).sersic
    assert config.blocks[-1].functions[0]["I_sky"].value == fit.sky.value
    residual, error, mask = (fitsio.read(folder / f"{name}.fits") for name in ("refined_res", "error", "mask"))
    chi2 = ((residual / error)[mask == 0] ** 2).sum()
    assert chi2 == pytest.approx(fit.exact_chi2, rel=1e-5)  # float32 on disk
    assert parse_override(text, "overrides/2.dat") is not None


def test_pyimfit_reads_the_refined_fit(written):
    # its reader wants an option before the first block
    model = load_pyimfit().parse_config(["GAIN 1", *(written[0] / "refined.dat").read_text().splitlines()])
    assert model.functionNameList() == ["Sersic", "Sersic", "FlatSky"]


def test_the_refined_files_of_an_earlier_fit_are_deleted(written, tmp_path):
    _, data, fit = written
    write_group_files(tmp_path, data, fitting_psf(), fit)
    assert (tmp_path / "refined.dat").exists() and (tmp_path / "refined_res.fits").exists()
    write_group_files(tmp_path, data, fitting_psf(), fit.by_imfit)
    assert not list(tmp_path.glob("refined*"))


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
