"""The input files of a field: where each lies, and the digest of what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

from ..core.types import Region
from ..images.masks import boxes_of
from ..io.files import digest_of, is_url, read_text
from ..io.images import read_shape, read_wcs
from ..io.psf_polygons import JSON_ENDINGS
from .config import Band, Config
from .provenance import Provenance
from .tiles import BandTile

SOURCE_ID = re.compile("[1-9][0-9]{0,9}")
"""The ID of a source as the name of a file: 7.dat, not 007.dat."""
FileRecord = dict[str, str | None]
"""`file`: the path; `digest`: of what the file holds, None where there is no file."""


class FieldInputs:
    """Paths and digests of the files that a user has given.

    Parameters
    ----------
    config : Config
    provenance : Provenance
        Computes the digests.
    results : Path
        Folder of the products: cutouts of mosaics lie there.
    """

    def __init__(self, config: Config, provenance: Provenance, results: Path):
        self.config, self.provenance, self.results = config, provenance, results
        self.data = Path(config.data_dir)

    def path(self, name: str) -> str:
        """Return a name from the config as a path: relative ones lie in data_dir; an [EXT] stays."""
        return name if is_url(name) else str(self.data / name)

    def image(self, band: Band) -> str:
        """Return the path of a band's image: the user's, or the cutout that the workflow makes."""
        if band.image is not None:
            return self.path(band.image)
        return str(self.results / "bands" / band.name / "cutout.fits")

    def weight(self, band: Band) -> dict[str, str] | None:
        """Return path and kind of a band's weight map, cut out where the image is; None without one."""
        if band.weight is None:
            return None
        path = self.path(band.weight.file)
        if band.mosaic is not None:
            path = str(self.results / "bands" / band.name / "cutout-weight.fits")
        return {"file": path, "kind": band.weight.kind}

    def record(self, path: str) -> FileRecord:
        """Return a file with the digest of its bytes."""
        return {"file": path, "digest": self.provenance.content(path)}

    def own_detection(self) -> dict[str, FileRecord]:
        """Return the user's segmentation map and catalogue of sources, those that are given, by key."""
        detection = self.config.detection
        given = {"segmentation": detection.segmentation, "catalogue": detection.catalogue}
        return {key: self.record(self.path(name)) for key, name in given.items() if name is not None}

    def reference_positions(self) -> FileRecord | None:
        """Return the table with whose positions those of the sources are compared."""
        name = self.config.reference_positions
        return None if name is None else self.record(self.path(name))

    def dust_maps(self) -> list[str]:
        """Return the files of the map of E(B-V): one, or that of each half of the Galaxy; none without extinction."""
        extinction = self.config.extinction
        if extinction is None:
            return []
        place = self.data if extinction.map == "sfd" else Path(self.path(extinction.map))
        if extinction.map == "sfd" or place.is_dir():
            return [str(place / f"SFD_dust_4096_{half}gp.fits") for half in "ns"]
        return [str(place)]

    def cutout_settings(self, band: Band) -> dict[str, object]:
        """Return what the cutout of a mosaic, or a tile of an image, depends on."""
        if isinstance(band, BandTile):
            weight = self.weight_record(band.whole)
            return {"image": self.image_record(band.whole), "weight": weight, "window": list(astuple(band.tile.window))}
        return {
            "mosaic": self.record(self.path(band.mosaic or "")),
            "weight": self.record(self.path(band.weight.file)) if band.weight else None,
            "target": self.config.target.model_dump(),
            "size_arcsec": band.cutout_size,
        }

    def image_record(self, band: Band) -> FileRecord:
        """Return a band's image with its digest; that of a cutout is the digest of what it is cut from."""
        if band.mosaic is None:
            return self.record(self.image(band))
        return {"file": self.image(band), "digest": digest_of(self.cutout_settings(band))}

    def grid_record(self, band: Band) -> FileRecord:
        """Return a band's image with the digest of its header: for stages that use its grid and not its pixels."""
        if isinstance(band, BandTile):
            whole = self.grid_record(band.whole)
            return {"file": self.image(band), "digest": digest_of([whole["digest"], astuple(band.tile.window)])}
        if band.mosaic is not None:
            return self.image_record(band)
        path = self.image(band)
        return {"file": path, "digest": self.provenance.grid(path)}

    def weight_record(self, band: Band) -> Mapping[str, str | None] | None:
        """Return a band's weight map with its kind and digest; None without one."""
        weight = self.weight(band)
        if weight is None:
            return None
        if isinstance(band, BandTile):
            assert band.whole.weight is not None, "a tile has the settings of its band"
            return {**weight, "whole": self.path(band.whole.weight.file)}
        return {**self.record(weight["file"]), "kind": weight["kind"]} if band.mosaic is None else dict(weight)

    def psf_record(self, band: Band) -> dict[str, object]:
        """Return the files of a band's PSF, its sampling and kind, and the meaning of its sum and centre."""
        assert band.psf is not None and band.psf.file is not None, "the check of the configuration demands it"
        polygons = {} if band.psf.polygons is None else {"polygons": self.polygons_record(band.psf.polygons)}
        return {
            "name": band.name,
            "psf": self.record(self.path(band.psf.file)),
            **polygons,
            "oversampling": band.psf_oversampling,
            "kind": band.psf_kind,
            "sum": band.psf_sum,
            "centre": band.psf_centre,
        }

    def star_psf_record(self, band: Band) -> dict[str, object]:
        """Return all that a PSF built from the stars of a band's image depends on."""
        assert band.psf is not None and band.psf.stars is not None, "asked only for such bands"
        places = None if band.psf.stars == "auto" else self.record(self.path(band.psf.stars))
        return {
            "name": band.name,
            "stars": {"places": places, "oversampling": band.psf.oversampling, "size_arcsec": band.psf.size},
            "kind": "effective",
            "sum": band.psf_sum,
            "centre": band.psf_centre,
            "image": self.image_record(band),
            "weight": self.weight_record(band),
            "border_regions": self.regions_record(self.border_regions(band)),
            "bad_regions": self.regions_record(self.bad_regions(band)),
            "saturation": band.saturation,
        }

    def polygons_record(self, name: str) -> FileRecord:
        """Return a file of polygons with the digest of its bytes, or of its regions if DS9 wrote it."""
        is_json = name.lower().endswith(JSON_ENDINGS)
        return self.record(self.path(name)) if is_json else self.regions_record(name)

    def regions_record(self, name: str) -> FileRecord:
        """Return a region file with the digest of its regions; comments and colours do not count."""
        path = self.path(name)
        return {"file": path, "digest": self.provenance.regions(path)}

    def band_regions_record(self, band: Band, name: str) -> FileRecord:
        """Return a region file as `regions_record` does; for a tile, with the digest of the regions that touch it."""
        if not isinstance(band, BandTile):
            return self.regions_record(name)
        path, image = self.path(name), self.image(band.whole)

        def touching(regions: list[Region]) -> list[Region]:
            boxes = boxes_of(regions, read_wcs(image), read_shape(image))
            return [region for region, box in zip(regions, boxes, strict=True) if box.overlaps(band.tile.window)]

        part = f"{band.tile.window} of {self.grid_record(band.whole)['digest']}"
        return {"file": path, "digest": self.provenance.regions_of(path, part, touching)}

    def bad_regions(self, band: Band) -> str:
        """Return the name of a band's file of bad regions."""
        return band.bad_regions or self._first_existing(f"{band.name}-bad.reg", f"{band.stem}-bad.reg")

    def border_regions(self, band: Band) -> str:
        """Return the name of a band's file of border regions."""
        return band.border_regions or self._first_existing(f"{band.name}-mask-border.reg", "mask_border.reg")

    def sim_regions(self, band: Band) -> str | None:
        """Return the name of a band's file of empty regions, None where they are placed automatically."""
        if band.sim_regions != "auto":
            return band.sim_regions
        name = self._first_existing(f"{band.name}-sim.reg", f"{band.stem}-sim.reg")
        return name if Path(self.path(name)).exists() else None

    def _first_existing(self, *names: str) -> str:
        return next((name for name in names if Path(self.path(name)).exists()), names[-1])

    def override_files(self) -> list[Path]:
        """Return the user's override files."""
        return sorted(Path(self.path(self.config.models.overrides_dir)).glob("*.dat"))

    def override_texts(self) -> dict[int, tuple[str, str]]:
        """Return text and name of the override file of each source, those whose name is an ID.

        Raises
        ------
        InputError
            A file is not text.
        """
        files = {path.stem: path for path in self.override_files() if SOURCE_ID.fullmatch(path.stem)}
        return {int(id_): (read_text(path), str(path)) for id_, path in files.items()}
