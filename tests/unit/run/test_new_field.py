from __future__ import annotations

from dataclasses import replace

import new_field
import pytest
import yaml
from instrument_fields import INSTRUMENTS, write_instrument
from unblend.core.errors import InputError
from unblend.plan.found_images import find_images
from unblend.run.new_field import choose, notes, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for seed, name in enumerate(("jwst", "irac")):
        write_instrument(folder, INSTRUMENTS[name], seed)
    return folder


@pytest.fixture(scope="module")
def images(folder):
    return find_images([str(folder)])[0]


def chosen(images, *answers):
    asked, told, left = [], [], list(answers)

    def ask(question):
        asked.append(question)
        return left.pop(0) if left else ""

    return choose(images, ask, told.append), asked, told


def test_the_table_shows_what_was_found(images):
    head, first, *_ = table(images)
    assert head.split() == ["band", "image", "pixels", "scale", "unit", "zero", "point", "weight", "PSF"]
    assert first.startswith("irac-ch1") and "mcov.fits (weight)" in first and "21.581" in first and "x5" in first


def test_long_names_fit_into_a_terminal(images):
    lines = table(images)
    assert max(len(line) for line in lines) < 175
    jwst = next(line for line in lines if line.startswith("f200w"))
    assert "jw01837-o0…_clear-f200w_i2d.fits[SCI]" in jwst and "  [WHT] (weight)  " in jwst


def test_likely_answers_are_said(images):
    choices, asked, told = chosen(images)
    assert choices.detection == "f200w" and choices.target == pytest.approx((150.0, 2.0), abs=1e-6)
    assert len(asked) == 1 and "position of your source" in asked[0]
    assert any("target: the middle of f200w" in line for line in told)


def test_a_sharper_image_without_a_psf_is_not_passed_over_in_silence(images):
    without = [replace(image, psf=None) if image.band == "f200w" else image for image in images]
    assert chosen(without)[2][0] == "detection on irac-ch1, the sharpest image with a PSF"


@pytest.mark.parametrize("answer", ["150.001, 2.0005", "150.001 2.0005", "10:00:00.24 +02:00:01.8"])
def test_a_target(images, answer):
    choices, _, _ = chosen(images, answer)
    assert choices.target == pytest.approx((150.001, 2.0005), abs=1e-6)


@pytest.mark.parametrize("answer", ["here", "400 2", "150"])
def test_no_target(images, answer):
    with pytest.raises(InputError, match="is not a position"):
        chosen(images, answer)


def test_questions_that_no_header_answers(images):
    psf = replace(images[0].psf, certain=False)
    two = (images[0].zero_points[0], replace(images[0].zero_points[0], value_ab=25.0, source="ZP = 25"))
    unclear = [replace(images[0], psf=psf, zero_points=two, zero_point_problem="two"), images[1]]
    choices, asked, told = chosen(unclear)
    assert len(asked) == 3 and len(told) == 4 and choices.samplings == {"irac-ch1": 5.0}
    assert choices.zero_points == {"irac-ch1": pytest.approx(21.581, abs=1e-3)}
    choices, _, _ = chosen(unclear, "", "25", "4")
    assert choices.zero_points == {"irac-ch1": 25.0} and choices.samplings == {"irac-ch1": 4.0}
    for answers in (("", "x"), ("", "", "x")):
        with pytest.raises(InputError, match="expected a number"):
            chosen(unclear, *answers)


def test_notes_name_the_bands(images):
    first = replace(images[0], notes=("a remark", "another"))
    second = replace(images[0], band="irac-ch2", notes=("no weight map", "a remark"))
    lines = list(notes([first, second], ["x.fits is not used"]))
    assert lines == [
        "irac-ch1, irac-ch2: a remark",
        "irac-ch1: another",
        "irac-ch2: no weight map",
        "x.fits is not used",
    ]


# The command --------------------------------------------------------------------------------------------------------


def test_a_new_field(folder, tmp_path, capsys):
    before = sorted((p.name, p.stat().st_mtime_ns) for p in folder.iterdir())
    new_field.main(str(tmp_path / "field"), str(folder), "--yes")
    out = capsys.readouterr().out
    assert "It has no mistakes. Run it: ./unblend run" in out and "irac-ch1" in out
    assert [p.name for p in (tmp_path / "field").iterdir()] == ["config.yaml"]
    assert set(yaml.safe_load((tmp_path / "field/config.yaml").read_text())["bands"]) == {"f200w", "irac-ch1"}
    assert sorted((p.name, p.stat().st_mtime_ns) for p in folder.iterdir()) == before


def test_nothing_is_overwritten(folder, tmp_path):
    (tmp_path / "config.yaml").write_text("mine")
    with pytest.raises(InputError, match="exists and is not changed"):
        new_field.main(str(tmp_path), str(folder), "--yes")
    assert (tmp_path / "config.yaml").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; expected a new folder"):
        new_field.main(str(tmp_path / "file"), str(folder), "--yes")


def test_a_field_that_cannot_be_run_yet(folder, tmp_path, capsys):
    image = next(folder.glob("*i2d.fits"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / image.name).symlink_to(image)
    new_field.main(str(tmp_path / "field"), str(tmp_path / "images"), "--yes")
    out = capsys.readouterr().out
    assert "no PSF found; you get one from STPSF" in out
    assert "It cannot be run yet" in out and "f200w-psf.fits does not exist" in out


def test_the_end_of_the_input_is_an_empty_answer(monkeypatch, capsys):
    def ended(question):
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    assert new_field.answer("target: ") == ""
