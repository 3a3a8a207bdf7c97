"""The tiles of the bands: a tile of a large image is a band of its own for all stages that look at pixels.

The tile 1_2 of the band hst is the band `hst/tiles/1_2`: its image is cut out of that of the band, and all its products
lie in its own folder. The products of the band are put together from those of its tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from ..core.coordinates import pixel_scale
from ..core.errors import UnblendError
from ..core.large_field import MOST_DETECTION_PIXELS, is_large
from ..core.tiles import FOLDER, Tile, tile_grid
from ..io.images import read_wcs
from .config import Band, Config

if TYPE_CHECKING:
    from .inputs import FieldInputs

LARGEST_SIDE = 3000
"""Side of a tile in pixels of the band with `tiles.size: auto`: the extraction, the largest job, then needs 1 GB."""


class BandTile(Band):
    """A tile of a band, with the settings of the band; `name` is the folder of its products."""

    _whole: Band = PrivateAttr()
    _tile: Tile = PrivateAttr()

    @property
    def whole(self) -> Band:
        """The band that it is a part of."""
        return self._whole

    @property
    def tile(self) -> Tile:
        """Its place in the image of the band."""
        return self._tile


class BandTiles(Mapping[str, Band]):
    """All bands of a field by name, and the tiles of the large ones.

    A band has tiles if its image is given as it is (a `mosaic` is cut), its background is not a polynomial, and it is
    larger than a tile. Iteration is over the bands alone.

    Parameters
    ----------
    config : Config
    inputs : FieldInputs
    """

    def __init__(self, config: Config, inputs: FieldInputs):
        self._config, self._inputs = config, inputs
        self._known: dict[str, dict[str, BandTile]] = {}

    def __getitem__(self, name: str) -> Band:
        """Return a band, or a tile."""
        whole, _, tile = name.partition(f"/{FOLDER}/")
        return self.of(whole)[name] if tile else self._config.bands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config.bands)

    def __len__(self) -> int:
        return len(self._config.bands)

    def of(self, band: str) -> dict[str, BandTile]:
        """Return the tiles of a band by name, in the order of rows and columns; none for a band of one tile."""
        if band not in self._known:
            self._known[band] = self._made(self._config.bands[band])
        return self._known[band]

    def measured(self, band: str) -> list[str]:
        """Return the names under which a band is measured: those of its tiles, or its own."""
        return list(self.of(band)) or [band]

    def _made(self, band: Band) -> dict[str, BandTile]:
        grid = self._grid(band)
        if len(grid) < 2:
            return {}
        return {made.name: made for made in (self._tile_of(band, tile) for tile in grid)}

    def _grid(self, band: Band) -> list[Tile]:
        """Return the grid of tiles of a band; none where its image cannot be read, of which the checks will say."""
        if band.image is None or band.background_order:
            return []
        path, settings = self._inputs.path(band.image), self._config.tiles
        try:
            shape = self._inputs.provenance.shape(path)
            if shape is None or (settings.size == "auto" and not self._may_be_large(shape)):
                return []
            scale = pixel_scale(read_wcs(path), (shape[0], shape[1]))
            side = self._auto_side(scale) if settings.size == "auto" else settings.size / scale
        except (UnblendError, OSError, ValueError, LookupError):
            return []
        box = band.moving_background.box if band.moving_background else 0.0
        margin = math.ceil(max(settings.margin, box) / scale)
        return tile_grid((shape[0], shape[1]), max(side, 4.0 * margin), margin)

    def _may_be_large(self, shape: list[int]) -> bool:
        """Return whether an image can have more than one tile: it is large, or the detection image is."""
        return max(shape) > LARGEST_SIDE or is_large(self._detection()[0])

    def _auto_side(self, scale: float) -> float:
        """Return the side of a tile in pixels of `scale` arcsec."""
        shape, path = self._detection()
        if not is_large(shape):
            return LARGEST_SIDE
        of_detection = math.sqrt(MOST_DETECTION_PIXELS) * pixel_scale(read_wcs(path), (shape[0], shape[1])) / scale
        return min(LARGEST_SIDE, of_detection)

    def _detection(self) -> tuple[list[int], str]:
        """Return the shape and the path of the image of flux_band; no pixels where it is not known yet."""
        path = self._inputs.image(self._config.bands[self._config.detection.flux_band])
        return self._inputs.provenance.shape(path) or [0, 0], path

    def _tile_of(self, band: Band, tile: Tile) -> BandTile:
        inputs, settings = self._inputs, {name: getattr(band, name) for name in type(band).model_fields}
        settings |= {
            "image": None,
            "mosaic": band.image,
            # the files of a tile are those of its band
            "border_regions": inputs.border_regions(band),
            "bad_regions": inputs.bad_regions(band),
            "sim_regions": inputs.sim_regions(band) or "auto",
        }
        made = BandTile.model_construct(**settings)
        made._name, made._whole, made._tile = f"{band.name}/{FOLDER}/{tile.name}", band, tile
        return made
