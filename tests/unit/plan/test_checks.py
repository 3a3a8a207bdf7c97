from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from unblend.core.errors import ConfigError, InputError
from unblend.io.files import read_json
from unblend.io.tables import write_table
from unblend.plan.checks import load_field, zero_points_read
from unblend.plan.example import example_is_missing

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
RAW = {
    "data_dir": "data",
    "target": {"ra": 53.0, "dec": -27.8},
    "detection": {"bands": ["f125w", "f160w"]},
    "models": {"psf": "f160w"},
    "bands": {
        "f125w": {"image": "a.fits", "psf": "psf.fits"},
        "f160w": {"image": "b.fits", "psf": "psf.fits"},
        "k": {"image": "k.fits", "psf": "psf.fits", "weight": "kw.fits"},
    },
}
SCALE = 0.1 / 3600.0


def write_image(path, shape=(20, 20), scale=SCALE, **cards):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 10.0})
    header.update({"CRPIX2": 10.0, "CD1_1": -scale, "CD2_2": scale, "CD1_2": 0.0, "CD2_1": 0.0, **cards})
    # the second image is no copy of the first
    fits.PrimaryHDU(np.full(shape, 2.0 if path.stem == "b" else 1.0), header).writeto(path, overwrite=True)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    (folder / "overrides").mkdir(parents=True)
    for name in ("a", "b"):
        write_image(folder / f"{name}.fits")
    write_image(folder / "k.fits", (12, 11), 2 * SCALE, CRPIX1=6.0, CRPIX2=6.0)
    fits.PrimaryHDU(np.ones((12, 11))).writeto(folder / "kw.fits")
    fits.PrimaryHDU(np.ones((5, 5))).writeto(folder / "psf.fits")
    return folder


def load(raw=None, **changes):
    raw = copy.deepcopy(RAW if raw is None else raw)
    raw["bands"]["k"] |= changes
    return load_field(raw, SCRIPTS, lambda: "plan")


def mistakes(**changes):
    with pytest.raises(InputError) as caught:
        load(**changes)
    first, *lines = str(caught.value).splitlines()
    assert first == "the input files have mistakes:"
    return [line.strip() for line in lines]


def test_a_good_field(data):
    config, jobs = load()
    assert list(config.bands) == ["f125w", "f160w", "k"] and jobs.results == Path("results")


def test_what_was_found_good_is_not_read_again(data, monkeypatch):
    _, jobs = load_field(copy.deepcopy(RAW), SCRIPTS, lambda: "run")
    jobs.spec("write_catalogue")
    monkeypatch.setattr("unblend.plan.checks.read_wcs", lambda _: pytest.fail("read again"))
    load()
    monkeypatch.undo()


def test_a_pixel_scale_in_arcsec_is_refused(data):
    write_image(data / "k.fits", (12, 11), 3600.0 * 2 * SCALE, CRPIX1=6.0, CRPIX2=6.0)
    assert mistakes() == [
        "bands.k.image: its pixels have 720 arcsec by the header, and those of the detection image (f125w) 0.1; CDELT "
        "or CD has to be in degrees. Correct the header."
    ]


def test_the_psf_of_the_fits_is_one_on_the_pixels_of_the_detection(data):
    raw = copy.deepcopy(RAW)
    _, jobs = load_field(copy.deepcopy(raw), SCRIPTS, lambda: "run")
    jobs.spec("write_catalogue")  # the field was found good before
    raw["models"]["psf"] = "k"
    sentence = (
        r"models.psf: band k has pixels of 0.2 arcsec, and the detection images \(f125w\) of 0.1; expected the PSF"
    )
    with pytest.raises(InputError, match=sentence):
        load(raw)
    write_image(data / "k.fits", (12, 11), SCALE, CRPIX1=6.0, CRPIX2=6.0)
    load(raw)


def test_errors_before_the_image_are_refused_where_no_extension_is_named(data):
    header = fits.getheader(data / "k.fits")
    extensions = [fits.ImageHDU(np.ones((12, 11)), header, name=name) for name in ("ERR", "SCI", "WHT")]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(data / "k.fits", overwrite=True)
    assert mistakes() == [
        "bands.k.image: the first image of data/k.fits is the extension ERR, which by its name is not an image of "
        'the sky; write "k.fits[SCI]", in quotes.'
    ]
    load(image="k.fits[SCI]")
    load(image="k.fits[ERR]")  # said so: it may be a name of its own
    fits.HDUList([fits.PrimaryHDU(), extensions[1], extensions[0]]).writeto(data / "k.fits", overwrite=True)
    load()


def test_all_missing_files_at_once(data):
    for name in ("a.fits", "kw.fits"):
        (data / name).unlink()
    assert mistakes() == [
        "bands.f125w.image: data/a.fits does not exist; correct the name or data_dir (data).",
        "bands.k.weight: data/kw.fits does not exist; correct the name or data_dir (data).",
    ]


def test_a_psf_that_is_no_band_and_no_file(data):
    raw = copy.deepcopy(RAW)
    raw["models"]["psf"] = "f160"
    with pytest.raises(InputError, match=r"models.psf: data/f160 does not exist, and no band has that name; correct"):
        load(raw)


def test_missing_regions_and_urls_are_no_mistakes(data):
    load(bad_regions="none.reg")
    load(image=None, mosaic="https://x.org/big.fits", cutout_size=10.0, weight=None)


def test_an_image_that_is_none(data):
    (data / "k.fits").write_text("words\n" * 1000)
    [line] = mistakes()
    assert line.startswith("bands.k.image: data/k.fits cannot be read as FITS:")
    fits.PrimaryHDU(np.ones((12, 11))).writeto(data / "k.fits", overwrite=True)
    [line] = mistakes()
    assert line.startswith("bands.k.image: data/k.fits has no celestial WCS")


def test_a_psf_that_is_no_image(data):
    fits.PrimaryHDU().writeto(data / "psf.fits", overwrite=True)
    lines = mistakes()
    assert len(lines) == 3 and lines[0].startswith("bands.f125w.psf: data/psf.fits has no two-dimensional image")


def test_a_weight_of_another_size(data):
    fits.PrimaryHDU(np.ones((5, 6))).writeto(data / "kw.fits", overwrite=True)
    [line] = mistakes()
    assert line == "bands.k.weight: data/kw.fits has 6 x 5 pixels and the image 11 x 12: both must lie on one grid."


def test_detection_images_of_other_sizes(data):
    write_image(data / "b.fits", (20, 21))
    [line] = mistakes()
    assert line == ("detection.bands: f160w has (21, 20) pixels and f125w (20, 20): all must lie on one grid; "
                    "reproject one of them.")  # fmt: skip


@pytest.mark.parametrize("cards", [{"CRPIX1": 10.3}, {"CRVAL1": 53.001}, {"CD1_1": SCALE}, {"CRVAL2": 27.8}])
def test_detection_images_on_other_grids(data, cards):
    write_image(data / "b.fits", **cards)
    [line] = mistakes()
    assert line.startswith("detection.bands: f160w and f125w have different world coordinates (up to ")


def test_the_same_grid_in_other_words(data):
    # CDELT and PC instead of CD; a reference pixel elsewhere; a difference of a hundredth of a pixel
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8})
    header.update({"CRPIX1": 10.01, "CRPIX2": 10.0, "CDELT1": -SCALE, "CDELT2": SCALE, "PC1_1": 1.0, "PC2_2": 1.0})
    fits.PrimaryHDU(np.ones((20, 20)), header).writeto(data / "b.fits", overwrite=True)
    load()


@pytest.mark.parametrize("cards", [{"CRVAL1": 53.1}, {"CRVAL2": 27.8, "CRVAL1": 233.0}])
def test_a_band_that_does_not_overlap(data, cards):
    write_image(data / "k.fits", (12, 11), 2 * SCALE, **cards)
    [line] = mistakes()
    assert line.startswith("bands.k.image: data/k.fits does not overlap the detection images (f125w); drop the band")


def test_a_band_that_overlaps_in_a_corner_or_holds_the_field(data):
    write_image(data / "k.fits", (12, 11), 2 * SCALE, CRPIX1=-1.0, CRPIX2=-1.0)
    load()
    write_image(data / "k.fits", (12, 11), 400 * SCALE, CRPIX1=5.2, CRPIX2=6.2)
    load()


def test_regions_and_overrides_that_cannot_be_read(data):
    (data / "det_manual.reg").write_text("fk5\ncircle(1,2\n")
    (data / "overrides" / "7.dat").write_text("n four\n")
    lines = mistakes()
    assert len(lines) == 2 and "det_manual.reg" in lines[0] and "line 2" in lines[0] and "7.dat" in lines[1]
    # corrected: the field is good at once
    (data / "det_manual.reg").write_text('fk5\ncircle(53.0,-27.8,1")\n')
    (data / "overrides" / "7.dat").write_text("n 4\n")
    load()


@pytest.fixture
def own(data):
    """A configuration with a segmentation map and a catalogue, both good."""
    write_image(data / "seg.fits")
    (data / "own.csv").write_text("id,ra,dec\n1,53.0,-27.8\n")
    raw = copy.deepcopy(RAW)
    raw["detection"] |= {"segmentation": "seg.fits", "catalogue": "own.csv"}
    return raw


def test_a_good_detection_of_one_s_own(own, monkeypatch):
    load(own)
    _, jobs = load_field(copy.deepcopy(own), SCRIPTS, lambda: "run")
    jobs.spec("write_catalogue")
    monkeypatch.setattr("unblend.field.own_sources.check_own", lambda *_: pytest.fail("read again"))
    load(own)


@pytest.mark.parametrize("key", ["segmentation", "catalogue"])
def test_a_missing_detection_of_one_s_own(own, key):
    own["detection"][key] = "none.fits"
    with pytest.raises(InputError, match=rf"detection.{key}: data/none.fits does not exist; correct the name or data"):
        load(own)


def test_a_bad_detection_of_one_s_own(data, own):
    write_image(data / "seg.fits", (20, 21))
    with pytest.raises(InputError, match=r"detection.segmentation and detection.catalogue: data/seg.fits has 21 x 20"):
        load(own)
    del own["detection"]["segmentation"]
    load(own)
    (data / "own.csv").write_text("id,ra,dec\n1,54.0,-27.8\n")
    with pytest.raises(InputError, match=r"mistakes:\n  detection.catalogue: data/own.csv: none of its 1 positions"):
        load(own)
    # what is wrong with the images comes first
    write_image(data / "b.fits", (20, 21))
    with pytest.raises(InputError, match=r"mistakes:\n  detection.bands: [^\n]*$"):
        load(own)


def test_reference_positions_that_cannot_be_read(own, data):
    own["reference_positions"] = "gaia.csv"
    with pytest.raises(InputError, match=r"reference_positions: data/gaia\.csv does not exist"):
        load(own)
    (data / "gaia.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"reference_positions: data/gaia\.csv"):
        load(own)
    (data / "gaia.csv").write_text("ra,dec\n53.0,-27.8\n")
    load(own)


def test_a_detection_of_one_s_own_on_a_mosaic_is_read_as_far_as_possible(data, own):
    for band in own["detection"]["bands"]:
        own["bands"][band] |= {"image": None, "mosaic": "a.fits", "cutout_size": 1.0}
    load(own)
    (data / "own.csv").write_text("id,ra,dec\n1,53.0,-27.8\n1,53.0,-27.8\n")
    with pytest.raises(InputError, match=r"data/own.csv has several rows for the IDs 1"):
        load(own)


def test_wishes_about_groups_that_cannot_be(data):
    (data / "overrides" / "7.dat").write_text("GROUP with 9\n")
    (data / "overrides" / "9.dat").write_text("GROUP alone\n")
    assert mistakes() == [
        "data/overrides/7.dat: GROUP with 9, but data/overrides/9.dat says GROUP alone; drop one of the two."
    ]


def test_files_of_sources_that_do_not_exist_are_named(data, capsys):
    for name in ("7", "90", "7-old"):
        (data / "overrides" / f"{name}.dat").write_text("n 4\n")
    load()
    assert capsys.readouterr().err == ""  # nothing is known before the first detection
    write_table(
        "results/det_cat.fits", np.array([(1, 1.0, 1.0), (7, 1.0, 1.0)], [("id", "i4"), ("x", "f8"), ("y", "f8")])
    )
    load()
    assert capsys.readouterr().err == (
        "unblend: not used: data/overrides/7-old.dat, data/overrides/90.dat: there is no such source in "
        "results/det_cat.fits (IDs 1 to 7).\n"
    )


def test_a_mistake_made_later_is_found(data):
    load()
    write_image(data / "b.fits", CRPIX1=15.0)
    assert "different world coordinates" in mistakes()[0]


def test_a_job_for_another_snakemake_checks_nothing(data):
    (data / "a.fits").unlink()
    load_field(copy.deepcopy(RAW), SCRIPTS, lambda: "job", check=False)


def test_inputs_are_not_checked_before_the_example_field_is_drawn(data):
    raw = {**copy.deepcopy(RAW), "example_seed": 1}
    (data / "a.fits").unlink()
    config, _ = load_field(raw, SCRIPTS, lambda: "plan")
    assert example_is_missing(config)
    (data / "truth.fits").write_text("")
    assert not example_is_missing(config)
    with pytest.raises(InputError, match=r"bands.f125w.image: data/a.fits does not exist"):
        load_field(raw, SCRIPTS, lambda: "plan")


def test_only_a_run_remembers_that_the_inputs_are_good(data):
    load()
    assert not Path("results").exists()
    _, jobs = load_field(copy.deepcopy(RAW), SCRIPTS, lambda: "run")
    jobs.spec("write_catalogue")
    assert Path("results/specs/checked.json").exists()


def test_config_mistakes_come_first(data):
    raw = copy.deepcopy(RAW)
    raw["models"]["gains"] = 1
    with pytest.raises(ConfigError, match="did you mean gain"):
        load_field(raw, SCRIPTS, lambda: "plan")


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ({"ra": 53.0, "dec": 27.8}, "correct it"),
        ({"ra": 233.0, "dec": 27.8}, "correct it"),
        ({"ra": 53.01, "dec": -27.8}, "correct it"),
        ({"ra": 53.0 / 15.0, "dec": -27.8}, "ra seems to be in hours: write 53, or '03:32:20.9' in quotes"),
        ("53:00:00 -27:48:00", None),
    ],
)
def test_a_target_that_is_on_no_image(data, target, advice):
    raw = {**copy.deepcopy(RAW), "target": target}
    if advice is None:
        with pytest.raises(ConfigError, match=r"target.ra is 795.0: expected a number of at least 0 and below 360"):
            load(raw)
        return
    with pytest.raises(InputError) as caught:
        load(raw)
    (line,) = str(caught.value).splitlines()[1:]
    assert line.strip().startswith(f"target: ra = {target['ra']:.6g}, dec = {target['dec']:.6g} (degrees) is on none")
    assert "the centre of f125w is at ra = 53, dec = -27.8: " in line and line.endswith(f"{advice}.")
    assert load({**raw, "target": "03:32:00.0 -27:48:00"})[0].target.ra == 53.0


# Zero points --------------------------------------------------------------------------------------------------------


def test_zero_points_of_headers(data):
    write_image(data / "k.fits", (12, 11), 2 * SCALE, CRPIX1=6.0, CRPIX2=6.0, BUNIT="10 nJy")
    _, jobs = load(zero_point="auto")
    assert list(zero_points_read(jobs)) == ["bands.k.zero_point: 28.9000 from BUNIT = '10 nJy'"]
    assert list(zero_points_read(load(zero_point=25.0)[1])) == []


def test_a_header_without_a_zero_point_is_found_before_any_job(data):
    (line,) = mistakes(zero_point="auto")
    assert line.startswith("bands.k.zero_point: data/k.fits: no AB zero point found in its header")
    (line,) = mistakes(zero_point="auto", image=None, mosaic="k.fits", cutout_size=1.0, weight=None)
    assert line.startswith("bands.k.zero_point: data/k.fits: no AB zero point found in its header")


def test_the_header_of_an_image_in_the_network_is_read_later(data):
    _, jobs = load(zero_point="auto", image=None, mosaic="https://x.org/k.fits", cutout_size=1.0, weight=None)
    assert list(zero_points_read(jobs)) == []


def test_a_zero_point_is_checked_again_where_only_its_header_has_changed(data):
    write_image(data / "k.fits", (12, 11), 2 * SCALE, CRPIX1=6.0, CRPIX2=6.0, BUNIT="nJy")
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"]["zero_point"] = "auto"
    load_field(copy.deepcopy(raw), SCRIPTS, lambda: "run")
    write_image(data / "k.fits", (12, 11), 2 * SCALE, CRPIX1=6.0, CRPIX2=6.0, BUNIT="DN")
    assert "k.zero_point" in mistakes(zero_point="auto")[0]


def test_the_folder_of_the_inputs_holds_no_products(data):
    with pytest.raises(InputError, match=r"results_dir: data is a folder of input files \(data\)"):
        load_field({**RAW, "results_dir": "data"}, SCRIPTS, lambda: "plan")


def test_a_folder_in_place_of_an_image_is_named_as_such(data):
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"]["image"] = "overrides"
    with pytest.raises(InputError, match=r"bands.k.image: data/overrides is no file, but a folder or device"):
        load_field(raw, SCRIPTS, lambda: "plan")


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (
            {"background": {"box": 0.05}},
            r"bands.k.background.box is 0.05 arcsec, less than a pixel of the image \(0.2 ",
        ),
        ({"shift": [1e90, 0.0]}, r"bands.k.shift moves the models by 1e\+90 arcsec, out of the image of"),
        ({"shift": [5.0, -5.0]}, r"bands.k.shift moves the models by 7.07 arcsec"),
        ({"background": {"order": 2}}, None),
        ({"background": {"box": 0.3}, "shift": [1.5, 0.0]}, None),
    ],
)
def test_lengths_that_no_image_has(data, edit, found):
    """Also after a run with others: the files are the same."""
    load_field(RAW, SCRIPTS, lambda: "run")
    raw = copy.deepcopy(RAW)
    raw["bands"]["k"].update(edit)
    if found is None:
        assert load_field(raw, SCRIPTS, lambda: "plan")[0].bands["k"].name == "k"
        return
    with pytest.raises(InputError, match=found):
        load_field(raw, SCRIPTS, lambda: "plan")


def test_a_box_of_the_detection_smaller_than_a_pixel(data):
    raw = copy.deepcopy(RAW)
    raw["detection"]["background"] = {"box": 1e-9}
    with pytest.raises(InputError, match=r"detection.background.box is 1e-09 arcsec, less than a pixel"):
        load_field(raw, SCRIPTS, lambda: "plan")


def test_a_smoothing_wider_than_the_image(data):
    raw = copy.deepcopy(RAW)
    raw["detection"]["conv_fwhm"] = 720.0
    with pytest.raises(InputError, match=r"detection.conv_fwhm is 720 arcsec, more than the image"):
        load_field(raw, SCRIPTS, lambda: "plan")


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"[1, 2]", b"null", b'{"a', b"\xff\xfe"])
def test_a_damaged_note_of_the_checks_is_made_again(data, content):
    """As after a loss of power, which leaves zeros: every run was refused until the file was deleted."""
    notes = [Path("results/specs") / name for name in ("checked.json", "digests.json", "config.json")]
    notes[0].parent.mkdir(parents=True)
    for note in notes:
        note.write_bytes(content)
    _, jobs = load_field(RAW, SCRIPTS, lambda: "run")
    jobs.spec("mask_band", band="k")
    jobs.provenance.save()
    jobs.store.release()
    assert all(read_json(note) for note in notes)
    spec = Path("results/specs/mask_band/k/spec.json")
    before = spec.read_bytes()
    spec.write_bytes(content)
    load_field(RAW, SCRIPTS, lambda: "run")[1].spec("mask_band", band="k")
    assert spec.read_bytes() == before


@pytest.mark.parametrize("key", ["segmentation", "catalogue"])
def test_a_folder_in_place_of_an_own_detection_is_named_as_such(data, key):
    raw = copy.deepcopy(RAW)
    raw["detection"][key] = "overrides"
    with pytest.raises(InputError, match=rf"detection.{key}: data/overrides is no file, but a folder or device"):
        load_field(raw, SCRIPTS, lambda: "plan")
