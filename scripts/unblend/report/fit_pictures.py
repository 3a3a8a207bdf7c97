"""The picture of a fit group: data, model and residual with one stretch, and the results of the fit below.

It is drawn by array operations in a few milliseconds; a plotting library would take longer than the fit itself.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ..core.types import Box
from ..models.sersic import Sersic
from .fit_descriptions import Word
from .plots import outline, stretch

PANEL = 300
"""Approximate side of a panel in screen pixels: image pixels are enlarged by a whole factor."""
GAP, MARGIN, LINE = 6, 8, 17
"""Gap between panels, margin of the picture and height of a line of text in screen pixels."""
SMALL, LARGE, ID_SIZE = 13, 15, 17
"""Font sizes in screen pixels."""
LEVELS = 112
"""Number of shades of a ramp: a grey one for fitted pixels and a brown one for masked pixels. The palette continues
with the other colours."""
INK, NEIGHBOUR = 2 * LEVELS, 2 * LEVELS + 1
"""Indices of the colours of text and of other groups' outlines in the palette."""
MEMBERS = ("#0b6fb8", "#c2410c", "#15803d", "#a21caf", "#0f766e", "#b45309")
"""Colours of the outlines and IDs of the members, used in turn."""
BROWN_DARK, BROWN_LIGHT = (60, 34, 20), (222, 200, 184)
"""Ends of the brown ramp in red, green, blue."""


@dataclass(frozen=True)
class GroupPicture:
    """The content of a picture.

    Parameters
    ----------
    box : Box
        Pixels of the cutout on the detection image.
    stack, residual : arrays (ny, nx)
        The cutout, and the cutout minus all fitted models and the sky; not finite where there is no data.
    segments : int array (ny, nx)
        Source IDs; 0 on the sky.
    ignored : bool array (ny, nx)
        True where the fit masked the pixel.
    sigma : float
        Noise of a pixel, the unit of the stretch.
    members : tuple of int
        IDs in the order of their colours.
    profiles : tuple of Sersic or None
        Drawn as half-light ellipses; positions on the detection image, 0-based.
    title : str
    rows : tuple of rows of Word
        Text under the panels.
    """

    box: Box
    stack: np.ndarray
    residual: np.ndarray
    segments: np.ndarray
    ignored: np.ndarray
    sigma: float
    members: tuple[int, ...]
    profiles: tuple[Sersic | None, ...]
    title: str
    rows: tuple[tuple[Word, ...], ...]

    @property
    def zoom(self) -> int:
        """Screen pixels per image pixel."""
        return max(1, round(PANEL / max(self.stack.shape)))


def picture_png(picture: GroupPicture, text: dict[str, str] | None = None) -> bytes:
    """Return the picture as a PNG file with `text` in its metadata."""
    canvas = _canvas(picture)
    image = Image.fromarray(canvas)
    image.putpalette(_palette())
    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    # Level 6 would make the file a sixth smaller and take 5 ms instead of 2.
    image.save(buffer, format="PNG", pnginfo=info, compress_level=3)
    return buffer.getvalue()


def _canvas(picture: GroupPicture) -> np.ndarray:
    """Return the whole picture as indices of the palette, with its first row at the top."""
    panels = [_data_panel(picture), _model_panel(picture), _residual_panel(picture)]
    body = np.full((panels[0].shape[0], MARGIN), LEVELS - 1, dtype=np.uint8)
    gap = np.full((panels[0].shape[0], GAP), LEVELS - 1, dtype=np.uint8)
    body = np.concatenate([body, panels[0], gap, panels[1], gap, panels[2], body], axis=1)
    width = max(body.shape[1], 3 * PANEL)
    body = _widened(body, width)
    step = panels[0].shape[1] + GAP
    titles = [(MARGIN + i * step, INK, name) for i, name in enumerate(("data", "model", "data - model"))]
    head = _text_rows([[(MARGIN, INK, picture.title)]], width, LARGE, LINE + 8)
    names = _text_rows([titles], width, SMALL, LINE)
    foot = _text_rows(
        [[(MARGIN + x, _colour(i), word) for i, x, word in row] for row in picture.rows], width, SMALL, LINE
    )
    end = np.full((MARGIN, width), LEVELS - 1, dtype=np.uint8)
    return np.concatenate([head, names, body, foot, end], axis=0)


def _widened(body: np.ndarray, width: int) -> np.ndarray:
    """Return the panels with white on the right, up to the given width."""
    right = np.full((body.shape[0], width - body.shape[1]), LEVELS - 1, dtype=np.uint8)
    return np.concatenate([body, right], axis=1)


def _colour(member: int) -> int:
    return INK if member < 0 else NEIGHBOUR + 1 + member % len(MEMBERS)


@cache
def _palette() -> list[int]:
    """Return 256 colours: grey ramp, brown ramp, ink, neighbours, members."""
    steps = np.linspace(0.0, 1.0, LEVELS)[:, None]
    grey = np.repeat(255.0 * steps, 3, axis=1)
    brown = np.array(BROWN_DARK) + steps * (np.array(BROWN_LIGHT) - np.array(BROWN_DARK))
    named = [_rgb(colour) for colour in ("#14212b", "#8a8f94", *MEMBERS)]
    colours = np.concatenate([grey, brown, np.array(named, dtype=float)])
    return np.round(colours).astype(int).ravel().tolist()


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _shades(picture: GroupPicture, values: np.ndarray, *, ignored: bool) -> np.ndarray:
    """Return an enlarged panel as indices, with bright pixels dark, masked pixels brown and the last row at the top."""
    shown = np.nan_to_num(stretch(values, picture.sigma))
    index = np.round((1.0 - shown) * (LEVELS - 1)).astype(np.uint8)
    if ignored:
        index = index + np.where(picture.ignored, LEVELS, 0).astype(np.uint8)
    return _enlarged(index, picture.zoom)


def _enlarged(array: np.ndarray, zoom: int) -> np.ndarray:
    """Return the array with each pixel enlarged to a square of `zoom` pixels, and the last row first."""
    return np.repeat(np.repeat(array[::-1], zoom, axis=0), zoom, axis=1)


def _data_panel(picture: GroupPicture) -> np.ndarray:
    """Return the cutout with outlines and IDs."""
    panel = _outlined(picture, _shades(picture, picture.stack, ignored=True))
    image = Image.fromarray(panel)
    for number, source in enumerate(picture.members):
        rows, columns = np.nonzero(picture.segments == source)
        if rows.size:
            corner = (
                (int(columns.max()) + 1) * picture.zoom,
                (picture.stack.shape[0] - int(rows.max()) - 1) * picture.zoom,
            )
            image = _with_id(image, str(source), corner, _colour(number))
    return np.asarray(image)


def _outlined(picture: GroupPicture, panel: np.ndarray) -> np.ndarray:
    """Return the panel with the borders of all segments: a colour for each member, grey for other groups."""
    labels = _enlarged(picture.segments, picture.zoom)
    border = outline(labels)
    colours = np.full(border.shape, NEIGHBOUR, dtype=np.uint8)
    for number, source in enumerate(picture.members):
        colours[border & (labels == source)] = _colour(number)
    return np.where(border, colours, panel)


def _model_panel(picture: GroupPicture) -> np.ndarray:
    """Return the models that were subtracted, with the half-light ellipse of each Sersic profile."""
    image = Image.fromarray(_shades(picture, picture.stack - picture.residual, ignored=False))
    draw = ImageDraw.Draw(image)
    for number, profile in enumerate(picture.profiles):
        if profile is not None:
            draw.line(_ellipse(picture, profile), fill=_colour(number))
    return np.asarray(image)


def _residual_panel(picture: GroupPicture) -> np.ndarray:
    """Return the residual with the borders of all segments."""
    shades = _shades(picture, picture.residual, ignored=True)
    return _outlined(picture, shades)


def _screen(picture: GroupPicture, y: float, x: float) -> tuple[float, float]:
    """Return the position on the panel (to the right, down) of a position on the detection image."""
    zoom, rows = picture.zoom, picture.stack.shape[0]
    return (x - picture.box.x0 + 0.5) * zoom, (rows - (y - picture.box.y0 + 0.5)) * zoom


def _ellipse(picture: GroupPicture, profile: Sersic) -> list[tuple[float, float]]:
    """Return the ellipse with semi-major axis r_e; the PA is measured from +y towards -x."""
    angle, pa = np.linspace(0.0, 2.0 * math.pi, 49), math.radians(profile.pa)
    along, across = profile.r_e * np.cos(angle), profile.r_e * (1.0 - profile.ell) * np.sin(angle)
    y = profile.y + along * math.cos(pa) - across * math.sin(pa)
    x = profile.x - along * math.sin(pa) - across * math.cos(pa)
    return [_screen(picture, *place) for place in zip(y, x, strict=True)]


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


@cache
def _letter(letter: str, size: int) -> tuple[np.ndarray, float]:
    """Return a stamp of a letter and the distance to the next letter; cached for all pictures."""
    font = _font(size)
    _, _, right, bottom = font.getbbox(letter)
    stamp = Image.new("L", (math.ceil(right) + 1, math.ceil(bottom) + 1))
    ImageDraw.Draw(stamp).text((0, 0), letter, fill=255, font=font)
    return np.asarray(stamp), font.getlength(letter)


def _write(ink: np.ndarray, x: float, y: int, text: str, size: int) -> int:
    """Write a text into `ink` with its upper left corner at (x, y), and return the x where it ends."""
    for letter in text:
        stamp, advance = _letter(letter, size)
        window = ink[y : y + stamp.shape[0], round(x) : round(x) + stamp.shape[1]]
        np.maximum(window, stamp[: window.shape[0], : window.shape[1]], out=window)
        x += advance
    return math.ceil(x)


def _with_id(image: Image.Image, text: str, corner: tuple[int, int], colour: int) -> Image.Image:
    """Write an ID at the upper right corner of its segment, with a white rim so that it is legible on black."""
    font = _font(ID_SIZE)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    width, height = right - left + 8, bottom - top + 8
    rim, ink = Image.new("L", (width, height)), Image.new("L", (width, height))
    place = (4 - left, 4 - top)
    ImageDraw.Draw(rim).text(place, text, fill=255, font=font, stroke_width=3)
    ImageDraw.Draw(ink).text(place, text, fill=255, font=font, stroke_width=0.4)
    x = min(max(corner[0], 0), max(image.width - width, 0))
    y = min(max(corner[1] - height, 0), max(image.height - height, 0))
    image.paste(LEVELS - 1, (x, y), _solid(rim, 60))
    image.paste(colour, (x, y), _solid(ink, 110))
    return image


def _solid(stamp: Image.Image, level: int) -> Image.Image:
    """Return a mask of the pixels above `level`."""
    return stamp.point([0 if i < level else 255 for i in range(256)])


def _text_rows(rows: Sequence[Sequence[tuple[int, int, str]]], width: int, size: int, height: int) -> np.ndarray:
    """Return rows of text as indices, with smooth edges for black text and hard edges for coloured text."""
    ink = np.zeros((height * len(rows), width), dtype=np.uint8)
    coloured = []
    for number, pieces in enumerate(rows):
        for x, colour, text in pieces:
            end = _write(ink, x, number * height + 1, text, size)
            if colour != INK:
                coloured.append((np.s_[number * height : (number + 1) * height, x:end], colour))
    strip = np.round((255 - ink.astype(float)) / 255 * (LEVELS - 1)).astype(np.uint8)
    for window, colour in coloured:
        strip[window][ink[window] > 110] = colour
    return strip
