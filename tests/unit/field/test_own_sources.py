"""The user's own detection: files compared with the images, each refusal one sentence, sources that are dropped."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from detection_field import SHAPE, gaussian, make_wcs
from unblend.core.coordinates import pixel_to_sky
from unblend.core.errors import InputError
from unblend.core.strips import ALL, BitMask, Workspace
from unblend.detection.sources import DetectedSources
from unblend.detection.stack import relative_noise_map, stack_images
from unblend.field.own_sources import (
    check_own,
    detect_own,
    open_own_labels,
    read_own_positions,
    select_labels,
)
from unblend.io.open_images import OpenImage
from unblend.io.scratch import DiskImage

WCS = make_wcs()
SEGMENTS = np.zeros(SHAPE, dtype=np.int32)
SEGMENTS[38:43, 48:53], SEGMENTS[148:153, 58:63], SEGMENTS[20:24, 200:204] = 40, 7, 1000
PLACES = {40: (40.0, 50.0), 7: (150.0, 60.0), 1000: (21.5, 201.5)}
"""Centres (y, x) of the segments."""


def write_labels(folder, data=SEGMENTS, header=None, name="seg.fits"):
    fits.writeto(folder / name, data, WCS.to_header() if header is None else header, overwrite=True)
    return str(folder / name)


def read_own_labels(name, image):
    with open_own_labels({"segmentation": name}, image, WCS) as labels:
        return labels[ALL]


def write_table(folder, places=None, name="sources.csv"):
    places = PLACES if places is None else places
    y, x = np.array(list(places.values()), dtype=float).T
    ra, dec = pixel_to_sky(WCS, y, x)
    Table([list(places), ra, dec], names=("id", "ra", "dec")).write(folder / name, overwrite=True)
    return str(folder / name)


@pytest.fixture
def image(tmp_path):
    light = gaussian(40, 50, 3000.0, 2.5) + gaussian(150, 60, 300.0, 2.5)
    data = np.random.default_rng(1).normal(size=SHAPE) + light
    fits.writeto(tmp_path / "image.fits", data, WCS.to_header())
    fits.writeto(tmp_path / "psf.fits", gaussian(100, 110, 1.0, 1.5)[85:116, 95:126])
    return str(tmp_path / "image.fits")


# Segmentation maps --------------------------------------------------------------------------------------------------


def test_a_map_on_the_grid(tmp_path, image):
    assert np.array_equal(read_own_labels(write_labels(tmp_path), image), SEGMENTS)
    # without world coordinates the shape decides, as for a weight map
    assert np.array_equal(read_own_labels(write_labels(tmp_path, header=fits.Header()), image), SEGMENTS)


def test_a_map_of_another_shape(tmp_path, image):
    name = write_labels(tmp_path, SEGMENTS[:, :-20])
    with pytest.raises(InputError) as caught:
        read_own_labels(name, image)
    assert str(caught.value) == (
        f"{name} has 200 x 200 pixels; expected 220 x 200 as in the detection image {image}. Give a segmentation map "
        "made on a detection image, or reproject it without interpolation."
    )


@pytest.mark.parametrize("value", [1, 7])
def test_a_mask_is_no_map_of_ids(tmp_path, image, value):
    mask = value * (SEGMENTS > 0).astype(np.int32)
    with pytest.raises(InputError, match=r"3 separate areas and 1 ID: a mask .* scipy.ndimage.label"):
        read_own_labels(write_labels(tmp_path, mask), image)


@pytest.mark.parametrize("shift", [0.3, 200.0])
def test_a_map_with_other_world_coordinates(tmp_path, image, shift):
    header = WCS.to_header()
    header["CRPIX1"] += shift
    name = write_labels(tmp_path, header=header)
    with pytest.raises(InputError, match=rf"other world coordinates than .*: they differ by up to {shift:.2f} pixels;"):
        read_own_labels(name, image)
    header["CRPIX1"] += 0.02 - shift
    read_own_labels(write_labels(tmp_path, header=header), image)


# Catalogues ---------------------------------------------------------------------------------------------------------


def test_positions_in_order_of_id(tmp_path):
    ids, y, x, outside = read_own_positions(write_table(tmp_path), WCS, SHAPE)
    assert ids.tolist() == [7, 40, 1000] and outside.size == 0
    assert y == pytest.approx([150, 40, 21.5], abs=1e-6) and x == pytest.approx([60, 50, 201.5], abs=1e-6)


def test_positions_outside_are_named(tmp_path):
    far = {3: (-0.6, 5.0), 5: (10.0, 219.6), 9: (500.0, 500.0), 6: (-0.4, 219.4)}
    ids, *_, outside = read_own_positions(write_table(tmp_path, PLACES | far), WCS, SHAPE)
    assert outside.tolist() == [3, 5, 9] and ids.tolist() == [6, 7, 40, 1000]


def test_all_positions_outside(tmp_path):
    name = write_table(tmp_path, {1: (500.0, 10.0), 2: (10.0, -30.0)})
    with pytest.raises(InputError, match=r"sources.csv: none of its 2 positions lies on the detection images;"):
        read_own_positions(name, WCS, SHAPE)
    Table([[1], [233.0], [27.8]], names=("id", "ra", "dec")).write(name, overwrite=True)  # the other side of the sky
    with pytest.raises(InputError, match=r"none of its 1 positions lies on .* Check the columns and the field"):
        read_own_positions(name, WCS, SHAPE)


def test_positions_in_one_pixel(tmp_path):
    name = write_table(tmp_path, {3: (40.0, 50.0), 9: (40.4, 50.4), 4: (40.0, 50.6), 5: (9.0, 9.0), 6: (9.1, 9.1)})
    with pytest.raises(InputError) as caught:
        read_own_positions(name, WCS, SHAPE)
    assert "the sources 5, 6 lie in the same pixel of the detection images (2 such pixels)" in str(caught.value)


# Both ---------------------------------------------------------------------------------------------------------------


def test_a_catalogue_selects_labels(tmp_path):
    table = write_table(tmp_path, {7: PLACES[7], 1000: PLACES[1000]})
    selected = select_labels(SEGMENTS, "seg.fits", table, WCS)[ALL]
    assert np.array_equal(selected, np.where(SEGMENTS == 40, 0, SEGMENTS))


def test_ids_that_are_no_labels(tmp_path):
    table = write_table(tmp_path, PLACES | {8: (5.0, 5.0), 2: (9.0, 9.0)})
    with pytest.raises(InputError, match=r"sources.csv has the IDs 2, 8, which are not labels of seg.fits; expected"):
        select_labels(SEGMENTS, "seg.fits", table, WCS)


def test_a_catalogue_of_another_segmentation(tmp_path):
    table = write_table(tmp_path, {7: PLACES[40], 40: PLACES[7], 1000: PLACES[1000]})
    with pytest.raises(InputError, match=r"do not belong together: 1 of 3 positions lie on the label with their ID;"):
        select_labels(SEGMENTS, "seg.fits", table, WCS)
    # the barycentre of a bent segment may lie outside it
    select_labels(SEGMENTS, "seg.fits", write_table(tmp_path, PLACES | {7: (100.0, 100.0)}), WCS)


# Before any job -----------------------------------------------------------------------------------------------------


def test_checks_before_a_job(tmp_path, image):
    names = {"segmentation": write_labels(tmp_path), "catalogue": write_table(tmp_path)}
    for key, name in names.items():
        check_own({key: name}, image)
        check_own({key: name}, None)
    check_own(names, image)
    wrong = write_table(tmp_path, {8: PLACES[7]})
    check_own({"catalogue": wrong}, image)
    with pytest.raises(InputError, match="which are not labels of"):
        check_own({**names, "catalogue": wrong}, image)


def test_without_an_image_the_files_themselves_are_checked(tmp_path):
    with pytest.raises(InputError, match="has no source"):
        check_own({"segmentation": write_labels(tmp_path, np.zeros((5, 5)))}, None)
    with pytest.raises(InputError, match="several rows for the IDs 1"):
        (tmp_path / "t.csv").write_text("id,ra,dec\n1,2,3\n1,2,4\n")
        check_own({"catalogue": str(tmp_path / "t.csv")}, None)


# The detection ------------------------------------------------------------------------------------------------------


def psf_spec(psf, image):
    settings = {"oversampling": 1.0, "kind": "effective", "sum": "unit", "centre": "centroid"}
    return {"psf": {"file": str(psf)}, "image": {"file": str(image)}, **settings}


def detect(image, bad=None, never_filled=None, **files):
    data = fits.getdata(image).astype(float)
    mask = np.zeros(SHAPE, dtype=bool) if bad is None else bad
    own = {key: {"file": name} for key, name in files.items()}
    own["psf"] = psf_spec(image.replace("image", "psf"), image)
    stack = stack_images({"a": data}, {"a": mask})
    return detect_own(
        own, stack, data, mask, WCS, image_name=image, fwhm_pixels=3.0, threshold=1.5, never_filled=never_filled
    )


def test_a_segmentation_is_measured_as_it_is(tmp_path, image):
    found = detect(image, segmentation=write_labels(tmp_path))
    assert np.array_equal(found.segments, SEGMENTS)
    assert found.catalogue["id"].tolist() == [7, 40, 1000] and found.catalogue["area"].tolist() == [25, 25, 16]
    assert found.catalogue["snr"][2] < 5.0  # far below min_snr
    both = detect(image, segmentation=write_labels(tmp_path), catalogue=write_table(tmp_path, {40: PLACES[40]}))
    assert both.catalogue["id"].tolist() == [40]


@pytest.mark.parametrize("kind", ["segmentation", "catalogue"])
def test_sources_beside_the_light_are_warned_of(tmp_path, kind, caplog):
    places = {
        k + 1: (float(y), float(x)) for k, (y, x) in enumerate([(40, 50), (150, 60), (90, 200), (30, 150), (120, 120)])
    }
    data = np.random.default_rng(1).normal(size=SHAPE) + sum(gaussian(y, x, 900.0, 2.5) for y, x in places.values())
    fits.writeto(tmp_path / "image.fits", data, WCS.to_header())
    fits.writeto(tmp_path / "psf.fits", gaussian(100, 110, 1.0, 1.5)[85:116, 95:126])
    for step in (0, 9):
        moved = {i: (y, x + step) for i, (y, x) in places.items()}
        labels = np.zeros(SHAPE, dtype=np.int32)
        for i, (y, x) in moved.items():
            labels[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = i
        name = write_labels(tmp_path, labels) if kind == "segmentation" else write_table(tmp_path, moved)
        caplog.clear()
        detect(str(tmp_path / "image.fits"), **{kind: name})
        warned = [r.getMessage() for r in caplog.records if "beside the light" in r.getMessage()]
        assert len(warned) == (step > 0)
        assert not warned or re.search(r"-(8|9|10) pixels along X and [+-][01] pixels along Y", warned[0])


def test_positions_grow_segments_as_wide_as_the_psf_at_least(tmp_path, image):
    found = detect(image, catalogue=write_table(tmp_path))
    assert found.catalogue["id"].tolist() == [7, 40, 1000]
    # a Gaussian of sigma 1.5 has a FWHM of 3.53 pixels: 32 pixels lie within it of a point where four pixels meet
    assert found.catalogue["area"].tolist()[2] == 32
    assert found.catalogue["area"][1] > 64


def test_sources_without_observed_pixels_are_dropped(tmp_path, image, caplog):
    bad = np.zeros(SHAPE, dtype=bool)
    bad[:, 190:] = True
    bad[:, :50] = True
    for files in ({"segmentation": write_labels(tmp_path)}, {"catalogue": write_table(tmp_path)}):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = detect(image, bad, **files)
        assert found.catalogue["id"].tolist() == [7, 40] and not found.segments[bad].any()
        assert "because no detection image has observed pixels there: ID 1000." in caplog.text
    assert found.catalogue["area"][1] > 15  # the observed part of a source that is cut


def test_right_ascensions_in_hours(tmp_path):
    name = write_table(tmp_path, PLACES)
    table = Table.read(name)
    table["ra"] /= 15.0
    table.write(name, overwrite=True)
    with pytest.raises(InputError, match=r"The column ra seems to be in hours: multiply it by 15."):
        read_own_positions(name, WCS, SHAPE)


def test_no_source_on_observed_pixels(tmp_path, image):
    bad = np.zeros(SHAPE, dtype=bool)
    bad[:, 190:] = True
    with pytest.raises(InputError, match=r"none of its 1 sources lies on observed pixels of the detection images;"):
        detect(image, bad, catalogue=write_table(tmp_path, {1000: PLACES[1000]}))


def test_positions_outside_are_dropped_with_a_warning(tmp_path, image, caplog):
    found = detect(image, catalogue=write_table(tmp_path, PLACES | {3: (-5.0, 5.0)}))
    assert 3 not in found.catalogue["id"]
    assert "sources.csv, because outside the detection images: ID 3." in caplog.text


def test_holes_inside_the_users_segments_stay_in_them(tmp_path, image, caplog):
    bad = np.zeros(SHAPE, dtype=bool)
    bad[40:42, 50:52] = True  # inside 40
    bad[:, 59:61] = True  # from side to side of 7, as the trail of a saturated star
    bad[20:22, 198:202] = True  # reaches into 1000 from outside
    bad[10:15, 10:15] = True  # in the sky
    with caplog.at_level(logging.INFO):
        found = detect(image, bad, segmentation=write_labels(tmp_path))
    assert "14 pixels without data inside the segments of ID 7, 40 are kept in them" in caplog.text
    assert found.catalogue["area"].tolist() == [25, 25, 12]
    assert np.array_equal(found.segments, np.where(bad & (SEGMENTS == 1000), 0, SEGMENTS))
    # the light around the hole is symmetric about (40, 50) except where the hole is, half a pixel off
    assert (found.catalogue["y"][1], found.catalogue["x"][1]) == pytest.approx((40.0, 50.0), abs=0.3)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        detect(image, segmentation=write_labels(tmp_path))
    assert caplog.text == ""


def test_holes_that_the_user_has_drawn_are_not_filled(tmp_path, image):
    bad = np.zeros(SHAPE, dtype=bool)
    bad[40:42, 50:52] = True
    found = detect(image, bad, segmentation=write_labels(tmp_path), never_filled=bad)
    assert found.catalogue["area"].tolist() == [25, 21, 16]


def test_a_position_in_a_hole_has_a_segment(tmp_path, image):
    bad = np.zeros(SHAPE, dtype=bool)
    bad[39:42, 49:52] = True
    found = detect(image, bad, catalogue=write_table(tmp_path))
    assert found.catalogue["id"].tolist() == [7, 40, 1000] and (found.segments[bad] == 40).all()


@pytest.mark.parametrize("bad", [None, (slice(40, 42), slice(50, 52))])
def test_large_ids_take_no_memory(tmp_path, image, bad, caplog):
    unseen = np.zeros(SHAPE, dtype=bool)
    if bad is not None:
        unseen[bad] = True
    labels = np.where(SEGMENTS == 40, 2_000_000_000, SEGMENTS)
    with caplog.at_level(logging.INFO):
        detect(image, unseen, segmentation=write_labels(tmp_path, labels.astype(np.int32)))
    assert ("inside the segments of ID 2000000000" in caplog.text) == (bad is not None)


# In strips ----------------------------------------------------------------------------------------------------------


class WindowsOnly(DiskImage):
    """An image on disk of which nobody may hold more than a third."""

    def __getitem__(self, window):
        part = super().__getitem__(window)
        assert part.size <= SHAPE[0] * SHAPE[1] / 3
        return part


def crowded_field(folder: Path) -> dict[str, dict]:
    """Write images of two bands with what strips may cut, a map of sparse IDs and a catalogue; return both detections.

    The field has blends, trails and cores without data, and a large source.
    """
    rng = np.random.default_rng(4)
    y, x = rng.uniform(0, SHAPE[0] - 1, 45), rng.uniform(0, SHAPE[1] - 1, 45)
    y[:2], x[:2] = (100, 104), (110, 130)
    flux, sigma = 10 ** rng.uniform(2.0, 3.5, 45), rng.uniform(1.5, 3.0, 45)
    flux[0], sigma[0] = 60_000.0, 9.0
    profiles = np.array([gaussian(*each) for each in zip(y, x, flux, sigma, strict=True)])
    ids = rng.permutation(45) * 44_000_000 + 1
    labels = np.where(profiles.sum(axis=0) > 1.0, ids[profiles.argmax(axis=0)], 0)
    for name, noise in (("a", 1.0), ("b", 2.0)):
        image = profiles.sum(axis=0) + noise * rng.normal(size=SHAPE)
        for k in np.argsort(-flux)[:8]:
            image[max(int(y[k]) - 2, 0) : int(y[k]) + 2, max(int(x[k]) - 1, 0) : int(x[k]) + 2] = np.nan
        image[:, 111:113], image[150:160, 20:40] = np.nan, np.nan
        fits.writeto(folder / f"{name}.fits", image, WCS.to_header())
    fits.writeto(folder / "psf.fits", gaussian(100, 110, 1.0, 1.5)[85:116, 95:126])
    places = dict(zip(ids.tolist(), zip(y.tolist(), x.tolist(), strict=True), strict=True))
    chosen = {i: at for i, at in places.items() if labels[round(at[0]), round(at[1])] == i}
    seg = {"segmentation": {"file": write_labels(folder, labels.astype(np.int32))}}
    psf = psf_spec(folder / "psf.fits", folder / "a.fits")
    return {
        "segmentation": seg,
        "catalogue": {"catalogue": {"file": write_table(folder, places)}, "psf": psf},
        "both": seg | {"catalogue": {"file": write_table(folder, dict(list(chosen.items())[::2]), "some.csv")}},
    }


def products(folder: Path, own: dict, work: Workspace, weighted: bool) -> tuple[DetectedSources, list[bytes]]:
    images = {name: fits.getdata(folder / f"{name}.fits").astype(float) for name in "ab"}
    weight = np.where(np.arange(SHAPE[1]) < 150, 1.0, 0.3) * np.ones(SHAPE)
    weight[60:64, 100:140] = 0.0
    drawn = BitMask(SHAPE)
    drawn[98:101, 108:110] = True
    stack = stack_images(images, dict.fromkeys(images, drawn), {"a": weight} if weighted else {}, work)
    found = detect_own(
        own, stack, images["a"], drawn, WCS, image_name=str(folder / "a.fits"), fwhm_pixels=3.0, threshold=1.5,
        relative_noise=relative_noise_map(weight, work)[0] if weighted else None, never_filled=drawn, work=work,
    )  # fmt: skip
    parts = [np.vstack([image[strip.slices] for strip in work.strips(SHAPE)]) for image in (found.segments, found.snr)]
    return found, [part.tobytes() for part in parts] + [found.catalogue.tobytes()]


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("kind", ["segmentation", "catalogue", "both"])
def test_no_result_depends_on_the_strips_and_no_image_is_held_whole(tmp_path, kind, weighted, caplog, monkeypatch):
    monkeypatch.setattr("unblend.detection.misplaced.BLOCK", 40)
    own = crowded_field(tmp_path)[kind]
    found, whole = products(tmp_path, own, Workspace(), weighted)
    assert len(found.catalogue) > (15 if kind == "both" else 40) and found.catalogue["id"].max() > 1_000_000_000
    messages = [record.getMessage() for record in caplog.records]
    new = lambda shape, dtype: WindowsOnly(shape, dtype, tmp_path)  # noqa: E731
    for work in (Workspace(rows=1), Workspace(rows=23), Workspace(rows=31, new=new)):
        caplog.clear()
        assert products(tmp_path, own, work, weighted)[1] == whole
        assert [record.getMessage() for record in caplog.records] == messages


def test_a_map_is_checked_in_windows(tmp_path, image, monkeypatch):
    """At planning time, too: at most a strip is read at once."""
    names = {"segmentation": write_labels(tmp_path), "catalogue": write_table(tmp_path)}
    monkeypatch.setattr("unblend.core.strips.STRIP_PIXELS", 10 * SHAPE[1])
    read, sizes = OpenImage.__getitem__, []

    def noted(self, window):
        part = read(self, window)
        sizes.append(part.size)
        return part

    monkeypatch.setattr(OpenImage, "__getitem__", noted)
    check_own(names, image)
    check_own(names, None)
    assert max(sizes) == 10 * SHAPE[1] and len(sizes) >= 40
    with pytest.raises(InputError, match="3 separate areas and 1 ID: a mask"):
        check_own({"segmentation": write_labels(tmp_path, (SEGMENTS > 0).astype(np.int32))}, image)
