"""Products that were deleted or cut run the job that makes them again, once."""

from __future__ import annotations

from pathlib import Path

from planned_jobs import GROUPS, SMALL_FITS, changed, specs
from unblend.io.files import read_json, write_json

PICTURE = b"picture\x00\x00\x00\x00IEND\xaeB`\x82"


def test_a_deleted_model_runs_its_batch_again_once(field):
    models = Path("results/imfit/models")
    models.mkdir(parents=True)
    for i in (1, 2, 3, 5):
        (models / f"{i}.fits").write_bytes(SMALL_FITS)
    for batch in GROUPS:
        write_json(f"results/imfit/{batch}/fit.json", {})
        write_json(f"results/imfit/batches/second-{batch}.json", {})
    specs()
    (models / "3.fits").unlink()
    assert changed() == {"fit_second_pass/1"}
    # the same gap is the same spec: planning twice does not run twice
    assert changed() == set()
    (models / "3.fits").write_bytes(SMALL_FITS)
    assert changed() == set()
    (models / "5.fits").write_bytes(bytes(2000))
    assert changed() == {"fit_second_pass/5"}
    (models / "5.fits").write_bytes(SMALL_FITS)
    assert changed() == set()
    (models / "5.fits").unlink()
    assert changed() == {"fit_second_pass/5"}
    Path("results/imfit/5/fit.json").unlink()
    assert changed() == {"fit_second_pass/5"}


def test_a_deleted_picture_runs_the_drawing_again_once(field):
    for group in GROUPS:
        Path(f"results/imfit/{group}").mkdir()
        Path(f"results/imfit/{group}/fit.png").write_bytes(PICTURE)
    specs()
    Path("results/imfit/2/fit.png").unlink()
    assert changed() == set()  # the sheet was never made: nothing is lost
    Path("results/imfit/sheet.html").write_text("</html>\n")
    assert changed() == {"draw_fits"}
    assert changed() == set()
    Path("results/imfit/2/fit.png").write_bytes(PICTURE)
    assert changed() == set()
    Path("results/imfit/1/fit.png").write_bytes(PICTURE[:-1])
    assert changed() == {"draw_fits"}


def test_a_cut_file_of_a_fit_runs_its_batch_again(field):
    for group in GROUPS:
        write_json(f"results/imfit/{group}/fit.json", {})
        write_json(f"results/imfit/batches/second-{group}.json", {})
        for name in ("img.fits", "indiv/mask_3.fits"):
            Path(f"results/imfit/{group}/{name}").parent.mkdir(exist_ok=True)
            Path(f"results/imfit/{group}/{name}").write_bytes(SMALL_FITS)
    for i in (1, 2, 3, 5):
        Path("results/imfit/models").mkdir(exist_ok=True)
        Path(f"results/imfit/models/{i}.fits").write_bytes(SMALL_FITS)
    specs()
    Path("results/imfit/5/img.fits").write_bytes(b"")
    assert changed() == {"fit_second_pass/5"}
    Path("results/imfit/5/img.fits").write_bytes(SMALL_FITS)
    Path("results/imfit/1/indiv/mask_3.fits").write_bytes(SMALL_FITS[:-1])
    assert changed() == {"fit_second_pass/1"}
    # 3 is no member of group 2, and a user's own file is none of ours
    Path("results/imfit/2/indiv/mask_3.fits").write_bytes(b"")
    Path("results/imfit/2/notes.dat").write_text("n 4?")
    assert changed() == set()


def test_models_not_yet_made_are_not_lost(field):
    specs()
    assert not read_json("results/specs/fit_second_pass/1/spec.json")["lost"]
