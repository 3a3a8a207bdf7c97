"""The images, weight maps and masks of the detection bands, of which windows are read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.strips import BitMask, Workspace
from ..core.types import WindowedImage
from ..images.masks import region_mask
from ..images.unobserved import unobserved_mask
from ..io.open_images import open_image
from ..io.regions import read_regions
from .detection_mask import no_data_mask
from .region_warnings import warning_off_image
from .weight_maps import checked_weight_of

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger("unblend.detect")


@dataclass(frozen=True)
class DetectionInput:
    """What the detection reads.

    Parameters
    ----------
    images : dict of images (ny, nx)
        Of each detection band.
    weights : dict of images (ny, nx)
        Inverse variance up to a factor, of the bands with a weight map.
    no_data : dict of masks (ny, nx)
        True where a band has no data.
    drawn : dict of masks (ny, nx)
        True in the bad regions that the user has drawn for a band.
    drawn_anywhere : mask (ny, nx)
        True in the bad regions of any band.
    """

    images: dict[str, WindowedImage]
    weights: dict[str, WindowedImage]
    no_data: dict[str, BitMask]
    drawn: dict[str, BitMask]
    drawn_anywhere: BitMask

    def masks(self) -> dict[str, BitMask]:
        """Add the bad regions to the pixels without data, and return the mask of each band."""
        for name, drawn in self.drawn.items():
            self.no_data[name] |= drawn
        return self.no_data


def open_input(spec: Mapping[str, Any], wcs: WCS, opened: ExitStack, work: Workspace) -> DetectionInput:
    """Open the images and weight maps of the detection bands, and find their masks.

    Parameters
    ----------
    spec : mapping
        Job spec of the detection.
    wcs : WCS
        Of the first detection image.
    opened : ExitStack
        Closes the files.
    work : Workspace

    Raises
    ------
    InputError
        A file cannot be read, or a weight map cannot be used, see `checked_weight`.
    """
    images: dict[str, WindowedImage] = {}
    for name, record in spec["images"].items():
        images[name] = opened.enter_context(open_image(record["file"]))
    missing = {name: unobserved_mask(image, work) for name, image in images.items()}
    weights: dict[str, WindowedImage] = {}
    for name, record in spec["weights"].items():
        values = opened.enter_context(open_image(record["file"]))
        # what a map warns of is in the log of mask_band
        weights[name] = checked_weight_of(values, record, images[name], missing[name], name, work, warn=log.info)
    no_data = {
        name: no_data_mask(image, weights.get(name), spec["saturation"][name], missing[name], work)
        for name, image in images.items()
    }
    shape = images[spec["detection"]["flux_band"]].shape
    drawn, drawn_anywhere = {}, BitMask(shape)
    for name, record in spec["bad_regions"].items():
        regions = read_regions(record["file"])
        drawn[name] = BitMask.of(region_mask(regions, wcs, (shape[0], shape[1])))
        drawn_anywhere |= drawn[name]
        off_image = warning_off_image(record["file"], regions, drawn[name], spec["images"][name]["file"])
        if off_image:
            log.warning("%s", off_image)
    return DetectionInput(images, weights, no_data, drawn, drawn_anywhere)
