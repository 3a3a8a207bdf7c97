from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from instrument_fields import INSTRUMENTS, write_instrument
from unblend.core.errors import InputError
from unblend.plan.found_images import find_images


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    for seed, (name, instrument) in enumerate(INSTRUMENTS.items()):
        write_instrument(folder / name, instrument, seed)
    return folder


EXPECTED = {
    "jwst": ("[SCI]", "[WHT]", "weight", "[OVERDIST]", 4.0, "optical"),
    "hst": ("drz.fits", "wht.fits", "weight", "psf.fits", 1.0, "effective"),
    "irac": ("maic.fits", "mcov.fits", "weight", "prf.fits", 5.0, "effective"),
    "hsc": ("[IMAGE]", "[VARIANCE]", "variance", "HSC-I-9813.fits", 1.0, "effective"),
    "vista": ("Ks_sci.fits", "Ks_weight.fits", "weight", "Ks_psf.fits", 1.0, "effective"),
    "muse": ("[DATA]", "[STAT]", "variance", "muse_white_psf.fits", 1.0, "effective"),
    "euclid": ("276838Z_00.00.fits", "276857Z_00.00.fits", "rms", "vis_psf.fits", 1.0, "effective"),
    "spherex": ("[IMAGE]", "[VARIANCE]", "variance", "[PSF][*,*,61]", 10.0, "effective"),
}  # fmt: skip


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_files_of_an_instrument(fields, name):
    (image,), problems = find_images([str(fields / name)])
    ending, weight, kind, psf, sampling, psf_kind = EXPECTED[name]
    instrument = INSTRUMENTS[name]
    assert problems == [] and image.band == instrument.band
    assert image.file.endswith(ending) and image.scale_arcsec == pytest.approx(instrument.scale, rel=1e-3)
    assert image.weight is not None and image.weight.file.endswith(weight) and image.weight.kind == kind
    assert image.psf is not None and image.psf.file.endswith(psf)
    assert (image.psf.oversampling, image.psf.kind) == (sampling, psf_kind)
    assert image.zero_point_problem == "" and image.zero_points[0].doubt == ""
    assert 10 ** (0.4 * (23.9 - image.zero_points[0].value_ab)) == pytest.approx(instrument.unit_ujy, rel=1e-3)


def write(path, data, **cards):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.8, "CRPIX1": 20.0})
    header.update({"CRPIX2": 20.0, "CD1_1": -2e-5, "CD2_2": 2e-5, "CD1_2": 0.0, "CD2_1": 0.0, **cards})
    fits.PrimaryHDU(data, header).writeto(path)
    return str(path)


def noise(scale=1.0):
    return np.random.default_rng(1).normal(0.0, scale, (40, 40))


def test_what_is_missing_is_said(tmp_path):
    (image,), _ = find_images([write(tmp_path / "k.fits", noise())])
    assert image.weight is None and image.psf is None and image.zero_points == ()
    told = "\n".join(image.notes)
    assert "no AB zero point found" in told and "no weight map found" in told and "no PSF found; you get one" in told


def test_a_map_of_another_kind_than_its_name_says_is_not_used(tmp_path):
    write(tmp_path / "k.fits", noise(0.01))
    write(tmp_path / "k_rms.fits", np.full((40, 40), 1e4))  # inverse variances
    (image,), _ = find_images([str(tmp_path / "k.fits")])
    assert image.weight is None and any("weight map not used" in note for note in image.notes)


def test_a_map_on_another_grid_is_not_used(tmp_path):
    write(tmp_path / "k.fits", noise())
    write(tmp_path / "k_wht.fits", np.ones((20, 20)))
    (image,), _ = find_images([str(tmp_path / "k.fits")])
    assert image.weight is None and any("20 x 20 pixels" in note for note in image.notes)


def test_contradicting_zero_points_are_kept_for_a_question(tmp_path):
    (image,), _ = find_images([write(tmp_path / "k.fits", noise(), BUNIT="nJy", ZP=26.5)])
    assert [z.value_ab for z in image.zero_points] == pytest.approx([31.4, 26.5])
    assert "two zero points" in image.zero_point_problem


def test_files_that_are_no_image_are_said(tmp_path):
    fits.PrimaryHDU(np.ones((5, 5))).writeto(tmp_path / "plain.fits")
    write(tmp_path / "j.fits", noise())
    write(tmp_path / "h_wht.fits", np.ones((40, 40)))
    images, problems = find_images([str(tmp_path)])
    assert [image.band for image in images] == ["j"]
    assert any("plain.fits is not used" in p and "no celestial WCS" in p for p in problems)
    assert any("h_wht.fits is not used" in p for p in problems)


def test_a_psf_whose_header_names_the_filter(tmp_path):
    write(tmp_path / "j8_drc.fits", noise(), INSTRUME="ACS", FILTER1="F606W", FILTER2="CLEAR2L")
    write(tmp_path / "ib_drz.fits", noise(), INSTRUME="WFC3", FILTER="F160W")
    axis = np.arange(-10, 11) ** 2
    for name, band in (("result00_psf", "F160W"), ("other_psf", "F850LP")):
        psf = fits.PrimaryHDU(np.exp(-0.2 * (axis[:, None] + axis)), fits.Header({"FILTER": band, "PIXSCALE": 0.018}))
        psf.writeto(tmp_path / f"{name}.fits")
    images, problems = find_images([str(tmp_path)])
    found = {image.band: image.psf and Path(image.psf.file).name for image in images}
    assert found == {"f606w": None, "f160w": "result00_psf.fits"}
    assert any("other_psf.fits is not used" in problem for problem in problems)
    assert any("optical if it was computed" in note for image in images for note in image.notes)


def test_files_of_one_name_in_two_folders(tmp_path):
    """MOPEX calls every mosaic mosaic.fits."""
    for channel in (1, 2):
        (tmp_path / f"ch{channel}").mkdir()
        write(tmp_path / f"ch{channel}/mosaic.fits", noise(), INSTRUME="IRAC", CHNLNUM=channel)
        write(tmp_path / f"ch{channel}/mosaic_cov.fits", np.full((40, 40), 10.0 * channel))
    images, problems = find_images([str(tmp_path / "ch1"), str(tmp_path / "ch2")])
    assert problems == [] and {image.band for image in images} == {"irac-ch1", "irac-ch2"}
    for image in images:
        assert image.weight is not None and Path(image.weight.file).parent == Path(image.file).parent


def test_folders_within_a_folder_are_named(tmp_path):
    """MOPEX and MAST put every mosaic in a folder of its own."""
    for name in ("ch1/Combine/mosaic.fits", "field/results/det_stack.fits", ".trash/old.fits"):
        (tmp_path / name).parent.mkdir(parents=True)
        write(tmp_path / name, noise())
    with pytest.raises(InputError, match=r"not looked at \(name them, too\): .*ch1/Combine\.$"):
        find_images([str(tmp_path)])
    write(tmp_path / "k.fits", noise())
    _, problems = find_images([str(tmp_path)])
    assert len(problems) == 1 and "ch1/Combine." in problems[0]
    images, problems = find_images([str(tmp_path), str(tmp_path / "ch1/Combine")])
    assert len(images) == 2 and problems == []


def test_nothing_found(tmp_path):
    with pytest.raises(InputError, match="no image found"):
        find_images([str(tmp_path)])
    with pytest.raises(InputError, match=r"gone\.fits does not exist"):
        find_images([str(tmp_path / "gone.fits")])


def test_an_extension_or_plane_that_the_user_names(tmp_path):
    write(tmp_path / "k.fits", np.stack([noise(), 2.0 * noise()]))
    (image,), _ = find_images([f"{tmp_path}/k.fits[*,*,2]"])
    assert image.file.endswith("k.fits[*,*,2]") and image.band == "k"
    with pytest.raises(InputError, match="2 planes"):
        find_images([f"{tmp_path}/k.fits"])


@pytest.mark.parametrize("ending", ["gz", "fz"])
def test_compressed_files(tmp_path, ending):
    name = write(tmp_path / "k_sci.fits", noise().astype(np.float32))
    write(tmp_path / "k_wht.fits", np.ones((40, 40), np.float32))
    for path in (tmp_path / "k_sci.fits", tmp_path / "k_wht.fits"):
        data, header = fits.getdata(path), fits.getheader(path)
        packed = fits.CompImageHDU(data, header) if ending == "fz" else fits.ImageHDU(data, header)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(f"{path}.{ending}")
        path.unlink()
    (image,), _ = find_images([f"{name}.{ending}"])
    assert image.band == "k" and image.weight is not None and image.weight.file.endswith(f"k_wht.fits.{ending}")
