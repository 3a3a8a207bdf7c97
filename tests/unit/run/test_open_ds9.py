"""`./unblend ds9`: which frames and regions, and what is said where something is missing."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_ds9
import pytest
import yaml
from unblend.core.errors import InputError
from unblend.io.images import write_image
from unblend.io.tables import columns, write_table

CONFIG = {
    "target": {"ra": 53.0, "dec": -27.8},
    "detection": {"bands": ["f160w"]},
    "models": {"psf": "f160w"},
    "bands": {
        "f160w": {"image": "b.fits[SCI]", "psf": "psf.fits"},
        "k": {"mosaic": "https://x.org/big.fits", "cutout_size": 30.0, "psf": "kpsf.fits"},
    },
}
STACK = ("det_stack.fits", "imfit/det_stack-model.fits", "imfit/det_stack-sub.fits", "det_seg.fits")


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def make(*names: str) -> None:
    for name in names:
        path = Path("results") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    open_ds9.main(*words, "--print")
    return shlex.split(capsys.readouterr().out)


def images(words: list[str]) -> list[str]:
    return [word for word in words if ".fits" in word]


def loaded(words: list[str]) -> list[str]:
    return [Path(word).name for before, word in pairwise(words) if before == "load"]


def test_a_band(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("bands/f160w/residual.fits", "bands/f160w/mask.reg", "det_seg.fits", "det_cat.reg")
    words = printed(capsys, "f160w")
    assert images(words) == ["b.fits[SCI]", "results/bands/f160w/residual.fits", "results/det_seg.fits"]
    # without Monte Carlo circles, which are not there yet
    assert loaded(words) == ["det_cat.reg", "mask.reg", "det_cat.reg", "mask.reg", "det_cat.reg"]
    assert words[words.index("-pan") :][:6] == ["-pan", "to", "53.0000000", "-27.8000000", "wcs", "icrs"]


def test_the_residual_is_seen_on_the_scale_of_an_image_with_a_sky(
    field: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).normal(0.0, 1.0, (80, 80))
    folder = field / "results/bands/f160w"
    make("det_seg.fits")
    write_image("b.fits", noise + 250.0)
    write_image(folder / "residual.fits", noise)
    write_image(folder / "background.fits", np.full((80, 80), 200.0))
    write_table(folder / "fluxes.fits", columns(id=np.array([1])), header={"BACKGR": 50.0})
    config = {**CONFIG, "bands": {**CONFIG["bands"], "f160w": {"image": "b.fits", "psf": "psf.fits"}}}  # type: ignore[dict-item]
    (field / "config.yaml").write_text(yaml.safe_dump(config))
    words = printed(capsys, "f160w")
    (low, high), residual = ([float(w) for w in words[at + 1 : at + 3]] for at, w in enumerate(words) if w == "limits")
    assert low == pytest.approx(247.0, abs=1.0) and high == pytest.approx(253.0, abs=1.0)
    assert residual == pytest.approx([low - 250.0, high - 250.0], abs=1e-6)


def test_the_sources_of_a_band_alone_are_drawn(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("bands/f160w/residual.fits", "bands/f160w/band_only.reg", "det_seg.fits")
    assert loaded(printed(capsys, "f160w")) == ["band_only.reg", "band_only.reg"]


def test_a_proposal_is_loaded_alone_over_image_and_residual(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("bands/f160w/residual.fits", "bands/f160w/mask.reg", "bands/f160w/proposed-bad.reg", "det_seg.fits")
    assert loaded(printed(capsys, "f160w", "--propose", "bad")) == ["proposed-bad.reg", "proposed-bad.reg"]
    with pytest.raises(InputError, match=r"proposed-sim\.reg does not exist"):
        printed(capsys, "f160w", "--propose", "sim")


def test_a_cutout_is_shown_and_not_its_mosaic(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("bands/k/residual.fits", "det_seg.fits")
    assert images(printed(capsys, "k"))[0] == "results/bands/k/cutout.fits"


def test_the_stack(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(*STACK, "det_cat.reg", "imfit/groups.reg")
    words = printed(capsys)
    assert [image.removeprefix("results/") for image in images(words)] == list(STACK)
    assert loaded(words) == ["det_cat.reg", "det_cat.reg", "groups.reg", "det_cat.reg"]


def test_nothing_is_written(field: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(*STACK)
    before = sorted(field.rglob("*"))
    printed(capsys)
    assert sorted(field.rglob("*")) == before


def test_another_folder(field: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make(*STACK)
    monkeypatch.chdir("/")
    assert images(printed(capsys, "--directory", str(field)))[0] == f"{field}/results/det_stack.fits"


def test_a_field_in_another_folder(
    field: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(*STACK, "bands/f160w/residual.fits")
    (field / "f160w").mkdir()  # a band, not a field: it has no configuration
    monkeypatch.chdir(field.parent)
    name = field.name
    assert images(printed(capsys, name))[0] == f"{name}/results/det_stack.fits"
    assert images(printed(capsys, f"{name}/config.yaml"))[0] == f"{name}/results/det_stack.fits"
    of_band = [f"{name}/b.fits[SCI]", f"{name}/results/bands/f160w/residual.fits", f"{name}/results/det_seg.fits"]
    assert images(printed(capsys, name, "f160w")) == of_band
    monkeypatch.chdir(field)
    assert images(printed(capsys, "f160w"))[0] == "b.fits[SCI]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["f606w"], "no band 'f606w': expected one of f160w, k"),
        (["f160w"], "residual.fits does not exist: run the workflow first"),
        ([], "det_stack.fits does not exist: run the workflow first"),
    ],
)
def test_what_is_missing_is_named(field: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        open_ds9.main(*words, "--print")


def test_without_ds9_it_is_said_where_to_get_it(field: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(*STACK)
    monkeypatch.setenv("PATH", str(field))
    with pytest.raises(InputError, match="ds9 is not installed: `sudo apt install saods9`"):
        open_ds9.main()
