"""The PSF of a band in config.yaml: a file, or the stars of the band's image."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from .config_values import FileName, PositiveNumber, Section, key, whole_number_from_text

MAX_OVERSAMPLING = 5
"""Largest number of PSF pixels per image pixel of a PSF built from stars."""

Oversampling = Annotated[int, Field(strict=True, ge=1, le=MAX_OVERSAMPLING), BeforeValidator(whole_number_from_text)]


class BandPsf(Section):
    """The PSF of a band: {file, polygons}, or a file alone; or {stars, oversampling, size}: built from stars."""

    file: FileName | None = key(
        None,
        "FITS image of the PSF; or several PSFs with their places in one file: an STDPSF or STPSF grid, a PSFEx file, "
        "the PSF extension of a SPHEREx image, a cube and a table of positions (ra, dec or x, y); docs/psfs.md. Either "
        "file or stars is needed.",
    )
    polygons: FileName | None = key(
        None,
        "Where each plane of the cube (or image extension) in file holds: GeoJSON with the property psf_key (from 0), "
        "or DS9 polygons whose text is the number of the plane (from 1) or the extension; null: file says it.",
    )
    stars: FileName | None = key(
        None,
        "In place of file: the PSF is built from stars of the image, which are found (auto) or given in a file: a "
        "table (FITS, VOTable, text) with ra, dec (degrees), or DS9 circles or points.",
    )
    oversampling: Oversampling | None = key(
        None,
        "PSF pixels per image pixel of a PSF built from stars; null: as many as give the stars, twice their half-light "
        "radius, four pixels or more.",
    )
    size: PositiveNumber | None = key(None, "Side of a PSF built from stars; null: 12 times its FWHM.", unit="arcsec")

    @model_validator(mode="before")
    @classmethod
    def _file_alone(cls, data: Any) -> Any:
        return {"file": data} if isinstance(data, str) else data

    @model_validator(mode="before")
    @classmethod
    def _file_or_stars(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name for name, value in data.items() if value is not None}
        if len({"file", "stars"} & given) != 1:
            found = "both" if {"file", "stars"} <= given else "neither"
            raise ValueError(f"expected file, a PSF, or stars, from which it is built; found {found}")
        wrong = sorted(given & ({"oversampling", "size"} if "file" in given else {"polygons"}))
        if wrong:
            raise ValueError(
                f"{' and '.join(wrong)} cannot be given with {'file' if 'file' in given else 'stars'}: remove "
                f"{'it' if len(wrong) == 1 else 'them'}"
            )
        return data
