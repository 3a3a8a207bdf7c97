"""Section of config.yaml on the tiles in which large images are measured."""

from __future__ import annotations

from typing import Literal

from .config_values import PositiveNumber, Section, key


class Tiles(Section):
    """The parts in which a large image of a band is measured, so that no job needs the memory of the whole."""

    size: Literal["auto"] | PositiveNumber = key(
        "auto",
        "Largest side of a tile. auto: 3000 pixels of the band, and 20 million pixels of the detection image in one "
        "tile; smaller images are one tile.",
        unit="arcsec",
    )
    margin: PositiveNumber = key(
        12.0,
        "Width of the margin around a tile that is measured with it. Sources that reach farther are cut there.",
        unit="arcsec",
    )
