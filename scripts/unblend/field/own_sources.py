"""The user's own detection: a segmentation map or a catalogue, read and compared with the detection images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.areas import known_ids, number_of_areas, only_ids
from ..core.coordinates import DETECTION_GRID_TOLERANCE_PIXELS, largest_offset, sky_to_pixel
from ..core.errors import InputError
from ..core.strips import Derived, Workspace
from ..core.types import WindowedImage
from ..detection.detection_image import detection_image
from ..detection.holes import fill_holes, holes_of_segments
from ..detection.misplaced import MIN_SOURCES, compare_with_light, misplaced_warning
from ..detection.own_sources import grow_segments, measure_own, nearest_position, pixel_of
from ..detection.sources import DetectedSources, fillable
from ..detection.stack import Stack
from ..images.psf import fwhm
from ..io.images import read_shape, read_wcs
from ..io.labels import open_segmentation
from ..io.source_lists import listed, read_source_list
from .prepared_psf import psf_of

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger(__name__)

AREAS_OF_A_MASK = 3
"""Least number of separate areas per ID of a mask. In a map of IDs a source has one, and touching sources share one."""


def detect_own(
    own: Mapping[str, Any],
    stack: Stack,
    image: WindowedImage,
    mask: WindowedImage,
    wcs: WCS,
    *,
    image_name: str,
    fwhm_pixels: float,
    threshold: float,
    relative_noise: WindowedImage | None = None,
    never_filled: WindowedImage | None = None,
    work: Workspace | None = None,
) -> DetectedSources:
    """Return the sources that the user gives in place of the automatic detection.

    Parameters
    ----------
    own : mapping
        Of the job spec: `segmentation` or `catalogue` or both, and `psf` where segments are grown.
    stack, image, mask, wcs, fwhm_pixels, relative_noise, never_filled, work
        As in `detection.sources.detect`.
    image_name : str
        A detection image, for its grid.
    threshold : float
        In sigma, where segments are grown.

    Raises
    ------
    InputError
        A file cannot be used, see `open_own_labels` and `read_own_positions`; or no source lies on observed pixels.
    """
    work = work or Workspace()
    smoothed, noise = detection_image(stack, fwhm_pixels, work)
    snr: WindowedImage = smoothed
    holes = fillable(stack, never_filled, work)
    names = {key: own[key]["file"] for key in ("segmentation", "catalogue") if key in own}
    described = " and ".join(names.values())
    if "segmentation" in names:
        with open_own_labels(names, image_name, wcs, work) as labels:
            given = known_ids(labels, work)
            covered = work.mask(labels.shape, lambda strip: labels[strip.slices] > 0)
            segments = _observed_part(labels, stack, holes, names["segmentation"], work)
    else:
        given, y, x, outside = read_own_positions(names["catalogue"], wcs, snr.shape)
        if outside.size:
            log.warning("Dropped from %s, because outside the detection images: ID %s.", described, listed(outside))
        snr, noise, filled = fill_holes(snr, holes, threshold, noise, work)
        width = _psf_fwhm(own["psf"])
        covered = work.mask(snr.shape, lambda strip: nearest_position(y, x, width, strip.core) > 0)
        usable = Derived(snr.shape, lambda window: np.isfinite(stack.data[window]) | filled[window])
        segments = grow_segments(
            given, y, x, snr, usable, threshold=threshold, fwhm_pixels=width, noise=noise, work=work
        )
    if given.size >= MIN_SOURCES and (
        warning := misplaced_warning(compare_with_light(covered, snr, fwhm_pixels), described)
    ):
        log.warning("%s", warning)
    _warn_of_unobserved(described, given, known_ids(segments, work))
    return measure_own(segments, snr, stack, image, mask, wcs, relative_noise=relative_noise, work=work)


def _observed_part(
    labels: WindowedImage, stack: Stack, holes: WindowedImage, name: str, work: Workspace
) -> WindowedImage:
    """Return the segments of the user's map `name` without their unobserved pixels, except holes that belong to them.

    Parameters
    ----------
    labels : int32 image (ny, nx)
        0 = sky.
    stack : Stack
    holes : bool image (ny, nx)
        See `fillable`.
    name : str
    work : Workspace
    """
    filled = holes_of_segments(labels, holes, work)
    segments = work.new(labels.shape, np.int32)
    for strip in work.strips(labels.shape):
        kept = np.isfinite(stack.data[strip.slices]) | filled[strip.slices]
        segments[strip.slices] = np.where(kept, labels[strip.slices], 0)
    if filled.any():
        affected = known_ids(Derived(labels.shape, lambda at: np.where(filled[at], segments[at], 0)), work)
        log.info("%s: %d pixels without data inside the segments of ID %s are kept in them", name, filled.count(),
                 listed(affected))  # fmt: skip
    return segments


def check_own(names: Mapping[str, str], image_name: str | None) -> None:
    """Check the user's segmentation map and catalogue, as far as it is possible before the detection.

    Parameters
    ----------
    names : mapping
        The files by key, `segmentation` and `catalogue`; at least one.
    image_name : str or None
        A detection image; None if it does not exist yet.

    Raises
    ------
    InputError
        As in `detect_own`, except that the observed pixels are not known.
    """
    if image_name is None:
        if "segmentation" in names:
            with open_segmentation(names["segmentation"]):
                pass  # its pixels are checked
        if "catalogue" in names:
            read_source_list(names["catalogue"])
    elif "segmentation" not in names:
        read_own_positions(names["catalogue"], read_wcs(image_name), read_shape(image_name))
    else:
        with open_own_labels(names, image_name, read_wcs(image_name)):
            pass


@contextmanager
def open_own_labels(
    names: Mapping[str, str], image_name: str, wcs: WCS, work: Workspace | None = None
) -> Iterator[WindowedImage]:
    """Open the user's segmentation map, int32 (ny, nx), 0 = sky, which must lie on the grid of a detection image.

    A map without world coordinates only needs the shape of the image. With a catalogue the map has only its sources.

    Parameters
    ----------
    names : mapping
        The files `segmentation` and, if there is one, `catalogue`.
    image_name : str
        A detection image.
    wcs : WCS
        Of the detection images.
    work : Workspace, optional

    Raises
    ------
    InputError
        As in `open_segmentation` and `select_labels`; the grids differ; or the map is a mask.
    """
    name, work = names["segmentation"], work or Workspace()
    _check_grid(name, image_name)
    with open_segmentation(name, work) as segments:
        _refuse_mask(name, segments, work)
        if "catalogue" in names:
            yield select_labels(segments, name, names["catalogue"], wcs, work)
        else:
            yield segments


def _check_grid(name: str, image_name: str) -> None:
    """Raise an InputError if a segmentation map is not on the grid of a detection image."""
    (ny, nx), expected = read_shape(name), read_shape(image_name)
    todo = "Give a segmentation map made on a detection image, or reproject it without interpolation."
    if (ny, nx) != expected:
        raise InputError(
            f"{name} has {nx} x {ny} pixels; expected {expected[1]} x {expected[0]} as in the detection image "
            f"{image_name}. {todo}"
        )
    wcs = _wcs_if_any(name)
    off = 0.0 if wcs is None else largest_offset(wcs, read_wcs(image_name), expected)
    # NaN, the other side of the sky, compares false
    if not off <= DETECTION_GRID_TOLERANCE_PIXELS:
        raise InputError(
            f"{name} has other world coordinates than the detection image {image_name}: they differ by up to {off:.2f} "
            f"pixels; expected the same grid. {todo}"
        )


def _refuse_mask(name: str, segments: WindowedImage, work: Workspace) -> None:
    """Refuse a mask of sources, in which one ID, or one for stars and one for galaxies, stands for all of them."""
    ids = known_ids(segments, work).size
    areas = number_of_areas(segments.shape, lambda strip: segments[strip.slices] > 0, work)
    if areas >= AREAS_OF_A_MASK * ids:
        raise InputError(
            f"{name} has {areas} separate areas and {ids} ID{'s' if ids > 1 else ''}: a mask of sources; expected a "
            "map in which every source has its own ID. Number the areas, for example with scipy.ndimage.label."
        )


def read_own_positions(
    name: str, wcs: WCS, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the sources of the user's catalogue on an image of `shape` (ny, nx), in order of ID.

    Parameters
    ----------
    name : str
        File of the catalogue.
    wcs : WCS
        Of the detection images.
    shape : (ny, nx)

    Returns
    -------
    ids : int array (n,)
    y, x : arrays (n,)
        0-based positions.
    outside : int array
        IDs of the sources outside the image.

    Raises
    ------
    InputError
        As in `read_source_list`; no source lies on the image; or several lie in the same pixel.
    """
    table = read_source_list(name)
    y, x = sky_to_pixel(wcs, table["ra"], table["dec"])
    on = (y >= -0.5) & (y < shape[0] - 0.5) & (x >= -0.5) & (x < shape[1] - 0.5)
    if not on.any():
        y, x = sky_to_pixel(wcs, 15.0 * table["ra"] % 360.0, table["dec"])
        hours = ((y >= -0.5) & (y < shape[0] - 0.5) & (x >= -0.5) & (x < shape[1] - 0.5)).any()
        todo = "The column ra seems to be in hours: multiply it by 15." if hours else "Check the columns and the field."
        raise InputError(
            f"{name}: none of its {table.size} positions lies on the detection images; expected ra and dec in degrees "
            f"of sources in this field. {todo}"
        )
    ids, y, x = table["id"][on], y[on], x[on]
    _, first, count = np.unique(pixel_of(y) * shape[1] + pixel_of(x), return_index=True, return_counts=True)
    if (count > 1).any():
        at = first[count > 1][0]
        same = ids[(pixel_of(y) == pixel_of(y)[at]) & (pixel_of(x) == pixel_of(x)[at])]
        raise InputError(
            f"{name}: the sources {listed(same)} lie in the same pixel of the detection images "
            f"({np.count_nonzero(count > 1)} such pixels), so they cannot be told apart; expected one source in a "
            "pixel. Remove the others."
        )
    return ids, y, x, table["id"][~on]


def select_labels(
    segments: WindowedImage, segmentation: str, catalogue: str, wcs: WCS, work: Workspace | None = None
) -> WindowedImage:
    """Return the user's segmentation map with only the sources that are in the user's catalogue.

    Parameters
    ----------
    segments : int image (ny, nx)
        The segmentation map; 0 is the sky.
    segmentation, catalogue : str
        Files of the map and of the catalogue.
    wcs : WCS
        Of the detection images.
    work : Workspace, optional

    Raises
    ------
    InputError
        The catalogue has an ID that is not a label of the map, or most of its positions lie on other labels.
    """
    table, work = read_source_list(catalogue), work or Workspace()
    missing = np.setdiff1d(table["id"], known_ids(segments, work))
    if missing.size:
        raise InputError(
            f"{catalogue} has the IDs {listed(missing)}, which are not labels of {segmentation}; expected only IDs of "
            "its labels where both are given. Remove these rows, or give one of the two files alone."
        )
    y, x = (pixel_of(np.nan_to_num(at, nan=-1.0)) for at in sky_to_pixel(wcs, table["ra"], table["dec"]))
    agreeing = 0
    for strip in work.strips(segments.shape):
        inside = (y >= strip.core.y0) & (y < strip.core.y1) & (x >= 0) & (x < segments.shape[1])
        found = segments[strip.slices][y[inside] - strip.core.y0, x[inside]]
        agreeing += int(np.count_nonzero(found == table["id"][inside]))
    if agreeing < 0.5 * table.size:
        raise InputError(
            f"{catalogue} and {segmentation} do not belong together: {agreeing} of {table.size} positions lie on the "
            "label with their ID; expected most of them. Give the catalogue that was made with this segmentation map."
        )
    return only_ids(segments, table["id"])


def _wcs_if_any(name: str) -> WCS | None:
    try:
        return read_wcs(name)
    except InputError:
        return None


def _psf_fwhm(spec: Mapping[str, Any]) -> float:
    """Return the FWHM of a PSF in pixels of the image."""
    psf = psf_of(spec)
    return float(np.median([fwhm(one) for one in psf.psfs])) / psf.oversampling


def _warn_of_unobserved(name: str, given: np.ndarray, observed: np.ndarray) -> None:
    """Warn of sources without an observed pixel: IDs that are given, but not observed.

    Raises
    ------
    InputError
        No source has one.
    """
    lost = np.setdiff1d(given, observed)
    if lost.size == given.size:
        raise InputError(
            f"{name}: none of its {given.size} sources lies on observed pixels of the detection images; expected at "
            "least one. Check the images, their weight maps and bad regions."
        )
    if lost.size:
        log.warning("Dropped from %s, because no detection image has observed pixels there: ID %s.", name, listed(lost))
