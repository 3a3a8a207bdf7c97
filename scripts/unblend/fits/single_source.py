"""One source of a group by itself: its image, its own cutout, and the problem of its fit."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.types import Box, cut
from .fft_size import good_box
from .group_data import GroupData
from .imfit import Pixels, evaluate_blocks
from .imfit_config import Block
from .joint_fit import Problem

log = logging.getLogger(__name__)

MARGIN_RADII, MIN_MARGIN_PIXELS = 0.5, 6
"""Margin of a source's cutout around its segment, in units of sqrt(area / pi), and its minimum in pixels."""


def source_image(blocks: Sequence[Block], box: Box, psf: np.ndarray, id_: int) -> np.ndarray:
    """Return the convolved image of one source, or zeros with a warning if IMFIT cannot draw it.

    Parameters
    ----------
    blocks : sequence of Block
        The model of the source.
    box : Box
        The part of the detection grid to draw.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    id_ : int
        The source, for the warning.
    """
    image = evaluate_blocks(blocks, box, psf)
    if not np.all(np.isfinite(image)):
        log.warning("Source %d: IMFIT's image of the model is not finite; it is taken as zero.", id_)
        return np.zeros(box.shape)
    return image


def summed_image(members: Sequence[tuple[int, Sequence[Block]]], box: Box, psf: np.ndarray) -> np.ndarray:
    """Return the sum of the convolved images of several sources, each drawn separately.

    Parameters
    ----------
    members : sequence of (ID, blocks)
        The sources and their models.
    box : Box
        The part of the detection grid to draw.
    psf : array (odd, odd)
        PSF at the pixels of the image.
    """
    return sum((source_image(blocks, box, psf, id_) for id_, blocks in members), np.zeros(box.shape))


def segment_box(data: GroupData, id_: int) -> Box:
    """Return the smallest box around the segment of a source, in pixels of the detection image."""
    rows, columns = np.nonzero(data.segments == id_)
    top, left = int(rows.min()), int(columns.min())
    box = Box(top, left, int(rows.max()) + 1, int(columns.max()) + 1)
    return Box(box.y0 + data.box.y0, box.x0 + data.box.x0, box.y1 + data.box.y0, box.x1 + data.box.x0)


def source_cutout(data: GroupData, id_: int) -> Box:
    """Return the part of the group's box in which a source is fitted by itself."""
    area = int(np.count_nonzero(data.segments == id_))
    margin = max(MIN_MARGIN_PIXELS, math.ceil(MARGIN_RADII * math.sqrt(area / math.pi)))
    box = segment_box(data, id_)
    return Box(box.y0 - margin, box.x0 - margin, box.y1 + margin, box.x1 + margin) & data.box


def single_source_problem(problem: Problem, id_: int, subtracted: np.ndarray | float = 0.0) -> Problem:
    """Return the problem of one member in its own cutout.

    Parameters
    ----------
    problem : Problem
        The problem of the whole group.
    id_ : int
        The member.
    subtracted : array (ny, nx) or float
        Flux per pixel on the group's box to subtract: the models of other sources and the sky.
    """
    box = good_box(source_cutout(problem.data, id_), problem.psf.shape[0])
    data, pixels = problem.data, problem.pixels
    image = np.where(pixels.mask, np.nan, pixels.image - subtracted)
    mask = cut(pixels.mask, box, True, outer=data.box)
    cut_data = replace(
        data,
        box=box,
        image=cut(image, box, np.nan, outer=data.box),
        error=cut(data.error, box, np.nan, outer=data.box),
        segments=cut(data.segments, box, 0, outer=data.box),
        mask=mask,
        structure=None if data.structure is None else cut(data.structure, box, 0.0, outer=data.box),
    )
    finite = cut(np.where(pixels.mask, 0.0, image), box, 0.0, outer=data.box)
    cut_pixels = Pixels(box, finite, cut(pixels.error, box, 1.0, outer=data.box), mask, pixels.smoothing)
    members = tuple(member for member in problem.members if member.id == id_)
    return replace(problem, members=members, pixels=cut_pixels, data=cut_data)
