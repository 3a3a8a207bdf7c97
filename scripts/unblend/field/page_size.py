"""Whether the page of a field is one file, or keeps its pixels and numbers in files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..io.images import read_shape

PAGE_SOURCES = 2000
"""Largest number of sources on a page of one file: their table and cards are 10 MB of text for four bands."""
PAGE_MEGAPIXELS = 30.0
"""Most pixels of the stack and of the images of all bands on a page of one file, 10⁶: with the residuals 45 MB of text,
which a browser reads in two seconds."""


def needs_files(sources: float, megapixels: float) -> bool:
    """Return whether a page with this number of sources and of pixels (10⁶) is divided into files."""
    return sources > PAGE_SOURCES or megapixels > PAGE_MEGAPIXELS


def page_megapixels(stack: str, images: Mapping[str, str], bands: Sequence[str]) -> float:
    """Return the number of pixels of the stack and of the images of the bands, 10⁶, from their headers.

    Parameters
    ----------
    stack : str
        File of the stack.
    images : mapping of str to str
        File of the image of each band.
    bands : sequence of str
    """
    shapes = [read_shape(stack), *(read_shape(images[band]) for band in bands)]
    return 1e-6 * sum(ny * nx for ny, nx in shapes)
