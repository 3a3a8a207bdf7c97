"""The content of a large page: what it opens with, and all else in files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..io import catalogues
from ..io.tables import read_table, read_table_header
from ..photometry.catalogue import KINDS
from .band_images import same_page_pixels
from .content import FIT_PROBLEMS, field_words, star_picture
from .page import Column, base64_of, numbers
from .page_folder import PageFolder
from .pyramid import TILE
from .sections import (
    band_numbers,
    card_sides,
    colour_choice,
    colour_scales,
    flux_columns,
    rows_in_order,
    source_columns,
    target_of,
)
from .survey_cards import CARDS, BandSources, write_cards, write_columns
from .survey_images import SurveyImage, band_source, stack_source, write_survey_image

WARNINGS = 200
"""Largest number of warnings with which the page opens; the others are in a file."""
WORST_FITS = 300
"""Largest number of fits in the table of the worst."""
OFFSETS_SHOWN = 500
"""Largest number of offsets of bright sources that are drawn in a band: those with the smallest errors."""
ERRORS_SHOWN = 1000
"""Number of sources in the plot of Monte Carlo against formal errors."""
IN_FILES = ("circles", "own")
"""Parts of a band that only its section shows."""


def write_survey(spec: Mapping[str, Any], results: Path, files: PageFolder) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Write the files of a large page; return the numbers and words it opens with, and a PNG file for each band.

    Memory is proportional to the number of sources, not to that of the pixels.

    Parameters
    ----------
    spec : mapping
        As in `content.read_field`.
    results : Path
        Folder of the products.
    files : PageFolder
    """
    order, catalogue = spec["order"], read_catalogue(results, spec["order"])
    target = target_of(results, order)
    stack = write_survey_image(files, "images/stack", stack_source(results))
    images, pictures = {}, {}
    for band in order:
        source, field = band_source(results, band, spec["bands"][band]["image"])
        images[band] = write_survey_image(files, f"images/band-{band}", source, field)
        pictures[band] = images[band].panels_png(results, band)

    sides = card_sides(results, catalogue, stack.page.scale, {band: images[band].page.scale for band in order})
    sources = source_columns(results, catalogue, sides)
    bands = [band_sources(results, band, catalogue, images[band]) for band in order]
    listed = []
    header = read_table_header(results / "catalogue.fits")
    for band in bands:
        record, more = band_record(results, band, sources, target, header)
        listed.append({"wavelength": spec["bands"][band.name]["wavelength_um"], **record})
        files.write(f"bands/{band.name}", more)
    places = np.array(stack.page.positions(catalogue["ra"], catalogue["dec"]))
    write_columns(files, sources, places, bands)
    write_cards(files, results, sources, places, bands)

    wavelengths = {band: spec["bands"][band]["wavelength_um"] for band in order}
    chosen = colour_choice(
        {band: same_page_pixels(stack.page, image.page) for band, image in images.items()}, wavelengths
    )
    words = field_words(spec, results, catalogue, target)
    files.write("warnings", words["warnings"][WARNINGS:])
    content = {
        **words,
        "warnings": words["warnings"][:WARNINGS],
        "stack": {"name": "stack", **stack.page.record},
        "bands": listed,
        "colour": {"bands": chosen, "scales": colour_scales(catalogue, chosen)} if chosen else None,
        "sources": {},
        "worst": worst_fits(sources),
        "files": {
            "number": len(catalogue),
            "cards": CARDS,
            "tile": TILE,
            "warnings": max(0, len(words["warnings"]) - WARNINGS),
            "problems": int(np.count_nonzero(sources["flag"].values & int(FIT_PROBLEMS))),
        },
    }
    content["files"]["folder"] = files.finish()
    return content, pictures


def read_catalogue(results: Path, bands: list[str]) -> np.ndarray:
    """Return the columns of the catalogue that the page shows: those of a survey's many bands take much memory."""
    names = ["id", "ra", "dec", "area", "flag", "ebv"]
    for band in bands:
        kinds = (
            "flux",
            "err",
            "mag",
            "mag_err",
            "mag_limit",
            "ap_flux",
            "ap_err",
            "err_formal",
            "err_sim",
            "flag",
            "a",
        )
        names += [f"{kind}_{band}" for kind in (*kinds, *(f"err_{kind}" for kind in KINDS))]
        names += [f"flux_{band}_ujy", f"err_{band}_ujy"]
    return catalogues.read_catalogue(results / "catalogue.fits", names)


def band_sources(results: Path, band: str, catalogue: np.ndarray, image: SurveyImage) -> BandSources:
    """Return the sources in a band, in the order of the catalogue.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : str
    catalogue : structured array (n,)
    image : SurveyImage
    """
    fluxes = read_fluxes(results, band)
    rows = rows_in_order(fluxes, catalogue["id"])
    details = "detail_amplitude" in (fluxes.dtype.names or ())
    return BandSources(
        name=band,
        image=image.page,
        columns=flux_columns(catalogue, fluxes, band),
        positions=np.array(image.page.positions(catalogue["ra"], catalogue["dec"])),
        flux=fluxes["flux"][rows],
        amplitude=fluxes["detail_amplitude"][rows] if details else np.ones(len(rows)),
    )


def read_fluxes(results: Path, band: str) -> np.ndarray:
    """Return the columns of the band's fluxes.fits that the page needs."""
    names = ["id", "flux", "flux_err", "flux_err_white", "worst_neighbour", "correlation", "detail_amplitude"]
    return read_table(results / "bands" / band / "fluxes.fits", names)


def band_record(
    results: Path,
    band: BandSources,
    sources: Mapping[str, Column],
    target: int | None,
    catalogue_header: Mapping[str, object],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the page opens with of a band, and what its section shows besides.

    Parameters
    ----------
    results : Path
        Folder of the products.
    band : BandSources
    sources : mapping of str to Column
        From `source_columns`.
    target : int or None
        ID of the target.
    catalogue_header : mapping
        Header of catalogue.fits.
    """
    fluxes = read_fluxes(results, band.name)
    found = band_numbers(results, band.name, fluxes, band.columns, band.image, target, catalogue_header)
    more = {name: found.pop(name) for name in IN_FILES}
    ids = sources["id"].values
    more["offsets"] = best_offsets(found["shift"].pop("offsets"), ids, band.positions)
    formal, simulated = (band.columns[name].values for name in ("formal", "sim"))
    usable = np.flatnonzero((formal > 0) & (simulated > 0))
    shown = np.unique(np.append(usable[:: max(1, len(usable) // ERRORS_SHOWN)], usable[ids[usable] == target]))
    columns = {"formal": formal, "sim": simulated}
    more["errors"] = {"id": numbers(ids[shown]), **{name: numbers(each[shown], 4) for name, each in columns.items()}}
    more["stars"] = [base64_of(png) for png in star_picture(results, band.name).values()]
    return {"name": band.name, **band.image.record, "columns": {}, **found}, more


def best_offsets(
    offsets: Mapping[str, list[Any]] | None, ids: np.ndarray, positions: np.ndarray
) -> dict[str, Any] | None:
    """Return the best measured offsets of a band with the positions (y, x) of their sources, and how many there are.

    Parameters
    ----------
    offsets : mapping of str to list or None
        From `shift_numbers`.
    ids : array (n,)
        Of the sources.
    positions : array (2, n)
        Of the sources in page pixels.
    """
    if not offsets:
        return None
    errors = np.hypot(*(np.array(offsets[name], dtype=float) for name in ("err_dx", "err_dy")))
    rows = {int(i): row for row, i in enumerate(ids)}
    best = [k for k in np.argsort(errors, kind="stable") if offsets["id"][k] in rows][:OFFSETS_SHOWN]
    places = positions[:, [rows[offsets["id"][k]] for k in best]]
    columns = {name: [values[k] for k in best] for name, values in offsets.items()}
    y, x = (Column(axis, places=2).listed() for axis in places)
    return {**columns, "y": y, "x": x, "number": len(errors)}


def worst_fits(sources: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Return the fits with the worst chi2, and those with problems, worst first.

    Parameters
    ----------
    sources : mapping of str to Column
        From `source_columns`.
    """
    chi2, flags = sources["chi2_red"].values, sources["flag"].values
    order = np.argsort(-chi2, kind="stable")
    order = order[np.isfinite(chi2[order])]
    problem = (flags[order] & int(FIT_PROBLEMS)) != 0
    number = max(20, int(np.count_nonzero(problem)))
    shown = (np.arange(len(order)) < number) | problem
    rows = order[shown][:WORST_FITS]
    names = ("id", "group", "chi2_red", "n", "r_e_arcsec", "ell", "flag")
    listed = [Column(sources[name].values[rows], sources[name].digits).listed() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*listed, strict=True)]
