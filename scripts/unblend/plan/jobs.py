"""What each job of the workflow depends on: a table from the rule to a function that returns the job's settings.

This is the table of docs/incremental.md in code. A function returns the settings that its stage uses and the digests
of the inputs that Snakemake must not judge by their times; products of other jobs are ordinary inputs of the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ..core.filters import wavelength_um
from ..field.failed_band import failure_in
from ..field.stored_fits import cut_files
from ..fits.override_groups import requested_groups
from ..io.files import read_json
from ..io.sed_filters import names_in_codes
from .config import Band, Config, VaryingShift
from .config_extinction import SFD_SCALE, Extinction
from .fit_keys import FitKeys
from .image_checks import image_warnings
from .inputs import FieldInputs
from .provenance import Provenance
from .specs import SpecStore
from .tiles import BandTile, BandTiles

Spec = dict[str, Any]


class Jobs:
    """The job specs of one field.

    Parameters
    ----------
    config : Config
    provenance : Provenance
        Computes digests of code and inputs.
    store : SpecStore
        Keeps the specs.
    results : Path
        Folder of the products.
    """

    def __init__(self, config: Config, provenance: Provenance, store: SpecStore, results: Path):
        self.config, self.provenance, self.store, self.results = config, provenance, store, results
        self.inputs = FieldInputs(config, provenance, results)
        self.fits = FitKeys(self.inputs)
        self.bands = BandTiles(config, self.inputs)

    def spec(self, rule: str, **wildcards: str) -> str:
        """Return the path of the spec of a job of `rule`, up to date."""
        name = "/".join([rule, *wildcards.values()])
        content = SETTINGS[rule](self, **wildcards)
        if "makes" in content:
            made = [self.results / path for path in content.pop("makes")]
            content["lost"] = self.store.lost(name, made)
        products = PRODUCTS.get(rule, "").format(**wildcards).split()
        # Without the key where nothing was ever damaged: the specs of existing results stay as they are.
        if damaged := self.store.damaged(name, [self.results / path for path in products]):
            content["damaged"] = damaged
        path = self.store.path(name, {"code": self.provenance.code(rule), **content})
        if self.store.writes:
            self.provenance.save()
        return path


# Detection -----------------------------------------------------------------------------------------------------------


def cut_mosaic(jobs: Jobs, band: str) -> Spec:
    """Return the mosaic, the target and the size; for a tile, the image of the band and the pixels of the tile.

    A mosaic that could not be read is tried again in every run.
    """
    b = jobs.bands[band]
    settings = jobs.inputs.cutout_settings(b)
    if isinstance(b, BandTile):
        return settings
    again = jobs.store.repeated(f"cut_mosaic/{band}", jobs.results / f"bands/{band}/cutout.fits", failure_in)
    return {**settings, "needed": band in jobs.config.detection.bands, **again}


def detect_sources(jobs: Jobs) -> Spec:
    """Return the images, weight maps and bad regions of the detection bands, and the detection section.

    `own` has the user's own detection; with positions alone also the PSF, whose width sets the smallest segments.
    `psf` is that of the search for unresolved pairs.
    """
    inputs, detection = jobs.inputs, jobs.config.detection.model_dump()
    for file in ("merge_regions", "manual_regions", "segmentation", "catalogue"):
        del detection[file]
    own: Spec = dict(inputs.own_detection())
    if list(own) == ["catalogue"]:
        own["psf"] = prepare_fit_psf(jobs)
    bands = [jobs.config.bands[name] for name in jobs.config.detection.bands]
    return {
        "detection": detection,
        "own": own,
        "psf": {} if own or detection["second_pass"] == "off" else prepare_fit_psf(jobs),
        "images": {b.name: inputs.image_record(b) for b in bands},
        "weights": {b.name: inputs.weight_record(b) for b in bands if b.weight},
        "bad_regions": {b.name: inputs.regions_record(inputs.bad_regions(b)) for b in bands},
        "saturation": {b.name: b.saturation for b in bands},
    }


def edit_segments(jobs: Jobs) -> Spec:
    """Return the two region files that edit the segmentation; image and weight map of the band of the fluxes."""
    inputs, detection = jobs.inputs, jobs.config.detection
    flux_band = jobs.config.bands[detection.flux_band]
    return {
        "merge_regions": inputs.regions_record(detection.merge_regions),
        "manual_regions": inputs.regions_record(detection.manual_regions),
        "flux_image": inputs.image_record(flux_band),
        "flux_weight": inputs.weight_record(flux_band),
        "bad_regions": inputs.regions_record(inputs.bad_regions(flux_band)),
        "saturation": flux_band.saturation,
    }


def prepare_fit_psf(jobs: Jobs) -> Spec:
    """Return the PSF of the stack: that of a band, or a file. IMFIT always works with a PSF of unit sum."""
    inputs, models = jobs.inputs, jobs.config.models
    image = inputs.grid_record(jobs.config.bands[jobs.config.detection.flux_band])
    if models.psf in jobs.config.bands:
        if jobs.config.bands[models.psf].has_star_psf:
            return inputs.star_psf_record(jobs.config.bands[models.psf])
        other_grid = {} if models.psf in jobs.config.detection.bands else {"other_grid": True}
        return {**inputs.psf_record(jobs.config.bands[models.psf]), "sum": "unit", "image": image, **other_grid}
    psf = {"psf": inputs.record(inputs.path(models.psf)), "oversampling": 1.0, "kind": models.psf_kind}
    return {**psf, "sum": "unit", "centre": models.psf_centre, "name": "models.psf", "image": image}


def group_sources(jobs: Jobs) -> Spec:
    """Return the regions that the fits ignore, the groups that the overrides request, and if the IDs are the user's."""
    texts = jobs.inputs.override_texts()
    bad_regions = jobs.inputs.regions_record(jobs.config.models.bad_regions)
    own_ids = bool(jobs.inputs.own_detection())
    return {"bad_regions": bad_regions, "requested": requested_groups(texts), "own_ids": own_ids}


# Models --------------------------------------------------------------------------------------------------------------


def fit_first_pass(jobs: Jobs, batch: str) -> Spec:
    """Return the groups of a batch with the keys of their first pass."""
    path = jobs.results / f"imfit/batches/first-{batch}.json"
    made = [f"imfit/{group}/first.json" for group in read_json(path)] if path.exists() else []
    return {**_fit_batch(jobs, batch, "first"), "components": jobs.config.models.components, "makes": made}


def fit_second_pass(jobs: Jobs, batch: str) -> Spec:
    """Return the groups of a batch with the keys of their second pass, and what their rendering depends on."""
    fits = jobs.fits
    files = {i: kinds for n in sorted(fits.neighbours(batch), key=int) for i, kinds in fits.user_files(n).items()}
    finished = (jobs.results / f"imfit/batches/second-{batch}.json").exists()
    return {
        **_fit_batch(jobs, batch, "second"),
        "neighbour_files": files,
        "refine": jobs.config.models.refine,
        "on_request": fits.files_on_request,
        "drawing": fits.rendering,
        "oversampling": jobs.config.models.oversampling,
        "detail": jobs.config.models.detail,
        "detail_code": fits.detail,
        "makes": _made_by_second_pass(jobs, batch) if finished else [],
    }


def _made_by_second_pass(jobs: Jobs, batch: str) -> list[str]:
    """Return the products of a batch that must be there and whole, and files of its fits that were cut."""
    made, fits = [], jobs.fits
    for group in fits.batches[batch]:
        files, members = fits.user_files(group), fits.groups[group]["members"]
        fitted = [i for i in members if "custom" not in files.get(str(i), {})]
        cut = cut_files(jobs.results / "imfit" / group, fitted)
        made += [f"imfit/{group}/fit.json", *(str(path.relative_to(jobs.results)) for path in cut)]
        # A user's own model is copied as it is: that it is there is enough.
        models = {i: f"imfit/models/{i}.fits" for i in members}
        made += [name for i, name in models.items() if i in fitted or not (jobs.results / name).exists()]
    return made


def _fit_batch(jobs: Jobs, batch: str, which: str) -> Spec:
    groups = {
        group: {"key": jobs.fits.of_pass(which, group), "user_files": jobs.fits.user_files(group)}
        for group in jobs.fits.batches[batch]
    }
    return {"groups": groups, "gain": jobs.config.models.gain, "timeout_s": jobs.config.models.timeout}


def collect_models(jobs: Jobs) -> Spec:
    """Return the groups with the keys of their models, and the sources with a custom model."""
    fits = jobs.fits
    custom = [i for group in fits.groups for i, kinds in fits.user_files(group).items() if "custom" in kinds]
    return {
        "groups": {group: fits.rendered(group) for group in fits.groups},
        "custom": sorted(map(int, custom)),
        "catalogue": jobs.provenance.content(str(jobs.results / "det_cat.fits")),
    }


def draw_fits(jobs: Jobs) -> Spec:
    """Return the digest of the code that draws, and the gain.

    A picture that was deleted is drawn again, but not in a large field, in which only the worst groups have one.
    """
    finished = all((jobs.results / "imfit" / name).exists() for name in ("groups.json", "sheet.html"))
    on_request = finished and jobs.fits.files_on_request
    made = [f"imfit/{group}/fit.png" for group in jobs.fits.groups] if finished and not on_request else []
    drawing = jobs.provenance.code("unblend/report/fit_pictures")
    return {"drawing": drawing, "gain": jobs.config.models.gain, "makes": made}


def subtract_models(jobs: Jobs) -> Spec:
    """Return the gain; of each group with a custom model, the key of the pixels to which that model is scaled."""
    fits = jobs.fits
    groups = [group for group in fits.groups if any("custom" in kinds for kinds in fits.user_files(group).values())]
    return {"gain": jobs.config.models.gain, "scaled": {group: fits.first(group) for group in groups}}


# Bands ---------------------------------------------------------------------------------------------------------------


def mask_band(jobs: Jobs, band: str) -> Spec:
    """Return the image, its weight, border and bad regions, and the level of saturation."""
    inputs, b = jobs.inputs, jobs.bands[band]
    return {
        "image": inputs.image_record(b),
        "weight": inputs.weight_record(b),
        "border_regions": inputs.band_regions_record(b, inputs.border_regions(b)),
        "bad_regions": inputs.band_regions_record(b, inputs.bad_regions(b)),
        "saturation": b.saturation,
        **_tile(b),
    }


def subtract_background(jobs: Jobs, band: str) -> Spec:
    """Return the image, the background section, the regions that it ignores."""
    inputs, b = jobs.inputs, jobs.bands[band]
    moving = b.moving_background
    if moving is None:
        return {"image": inputs.grid_record(b), "background": None}
    mask_all = inputs.band_regions_record(b, b.mask_all_regions)
    section = {"box": moving.box, "statistic": moving.statistic}
    return {"image": inputs.image_record(b), "background": section, "mask_all_regions": mask_all, **_tile(b)}


def prepare_psf(jobs: Jobs, band: str) -> Spec:
    """Return the band's PSF and how it is sampled, or all that a PSF built from its stars depends on.

    The figure of the stars is drawn again where it was deleted. A tile has the PSF of its band.
    """
    b = jobs.bands[band]
    if isinstance(b, BandTile):
        return {"name": band, "image": jobs.inputs.grid_record(b), **_tile(b)}
    if b.has_star_psf:
        finished = (jobs.results / f"bands/{band}/psf_stars.fits").exists()
        return {**jobs.inputs.star_psf_record(b), "makes": [f"bands/{band}/psf_stars.png"] if finished else []}
    return {**jobs.inputs.psf_record(b), "image": jobs.inputs.grid_record(b)}


def measure_shift(jobs: Jobs, band: str) -> Spec:
    """Return the band, its shift and the astrometry section."""
    b = jobs.bands[band]
    search = b.astrometry.model_dump() if b.astrometry and not isinstance(b, BandTile) else None
    return {**_band_data(jobs, b), "band": band, "astrometry": search}


def make_templates(jobs: Jobs, band: str) -> Spec:
    """Return the band's grid (its image) and its shift."""
    b = jobs.bands[band]
    return {"band": band, "image": jobs.inputs.grid_record(b), "shift": _shift(b), **_tile(b)}


def extract_fluxes(jobs: Jobs, band: str) -> Spec:
    """Return the band's image, weight and rms, the error of its PSF, and whether sources only it shows are searched."""
    b = jobs.bands[band]
    searched = b.band_only_sources == "auto" and _whole(b).name not in jobs.config.detection.bands
    return {**_band_data(jobs, b), "band": band, "psf_error": b.psf_error, "band_only_sources": searched}


def run_monte_carlo(jobs: Jobs, band: str) -> Spec:
    """Return the band's empty regions."""
    b = jobs.bands[band]
    regions = jobs.inputs.sim_regions(b)
    named = jobs.inputs.band_regions_record(b, regions) if regions else None
    return {**_band_data(jobs, b), "band": band, "sim_regions": named}


def inspect_band(jobs: Jobs, band: str) -> Spec:
    """Return the band's image and weight, the target, and the names under which the proposals are to be saved."""
    inputs, b = jobs.inputs, jobs.bands[band]
    names = {
        "sim": b.sim_regions if b.sim_regions != "auto" else f"{band}-sim.reg",
        "border": b.border_regions or f"{band}-mask-border.reg",
        "bad": b.bad_regions or f"{band}-bad.reg",
    }
    names = {kind: inputs.path(str(name)) for kind, name in names.items()}
    files = {"image": inputs.image_record(b), "weight": inputs.weight_record(b)}
    return {"band": band, **files, "target": jobs.config.target.model_dump(), "names": names}


def _band_data(jobs: Jobs, band: Band) -> Spec:
    """Return what every stage that solves for fluxes needs to know of a band."""
    return {
        "image": jobs.inputs.image_record(band),
        "weight": jobs.inputs.weight_record(band),
        "rms": band.rms,
        "shift": _shift(band),
        "background_order": band.background_order,
        **_tile(band),
    }


def join_masks(jobs: Jobs, band: str) -> Spec:
    """Return the grid of a band, its tiles, and its border and bad regions."""
    inputs, b = jobs.inputs, jobs.bands[band]
    files = {"border_regions": inputs.border_regions(b), "bad_regions": inputs.bad_regions(b)}
    return {**_tiles(jobs, band), **{kind: inputs.regions_record(name) for kind, name in files.items()}}


def join_offsets(jobs: Jobs, band: str) -> Spec:
    """Return the grid of a band and its tiles."""
    return _tiles(jobs, band)


def join_tiles(jobs: Jobs, band: str) -> Spec:
    """Return the grid of a band, its tiles, and the names under which the proposals are to be saved."""
    whole = inspect_band(jobs, band)
    return {**_tiles(jobs, band), "names": whole["names"]}


def _tiles(jobs: Jobs, band: str) -> Spec:
    """Return core and window of each tile of a band as y0, x0, y1, x1."""
    tiles = {t.tile.name: {"core": list(astuple(t.tile.core)), "window": list(astuple(t.tile.window))}
             for t in jobs.bands.of(band).values()}  # fmt: skip
    return {"band": band, "image": jobs.inputs.grid_record(jobs.bands[band]), "tiles": tiles}


def _tile(band: Band) -> Spec:
    """Return the band of which this is a tile, its first pixel (y, x), and its core; nothing for a whole band."""
    if not isinstance(band, BandTile):
        return {}
    window = band.tile.window
    core = list(astuple(band.tile.core.shifted(-window.y0, -window.x0)))
    return {"tile": {"band": band.whole.name, "origin": [window.y0, window.x0], "core": core}}


def _whole(band: Band) -> Band:
    """Return the band of which this is a tile, or the band itself."""
    return band.whole if isinstance(band, BandTile) else band


def _shift(band: Band) -> Any:
    """Return the shift of a band as JSON can hold it."""
    return band.shift.model_dump() if isinstance(band.shift, VaryingShift) else band.shift


# Results -------------------------------------------------------------------------------------------------------------


def write_catalogue(jobs: Jobs) -> Spec:
    """Return the bands with zero points and filters, the error floor, warnings about zero points, and their images.

    An image is given where its header has the zero point.
    """
    bands: dict[str, Spec] = {}
    for b in jobs.config.bands.values():
        bands[b.name] = {"zero_point_ab": b.zero_point, "filter": b.filter or b.name, "sed": sed_names(b)}
        if b.zero_point == "auto":
            bands[b.name] |= {"image": jobs.inputs.grid_record(b), "wavelength_um": b.wavelength}
    warnings = image_warnings(list(jobs.config.bands.values()), jobs.inputs)
    noted: Spec = {"warnings": warnings} if warnings else {}
    columns = jobs.provenance.content(str(jobs.provenance.scripts / "unblend/io/catalogue_columns.yaml"))
    if jobs.config.extinction is not None:
        noted["extinction"] = extinction_settings(jobs, jobs.config.extinction)
    order, settings = list(bands), jobs.config.catalogue.model_dump()
    tiles = {name: [tile.tile.name for tile in jobs.bands.of(name).values()] for name in order}
    if any(tiles.values()):
        noted["tiles"] = tiles
    return {"bands": bands, "order": order, **settings, "columns": columns, **noted}


def extinction_settings(jobs: Jobs, settings: Extinction) -> Spec:
    """Return the maps of the reddening, its scale and law, and the wavelengths of the bands."""
    files = [jobs.inputs.record(path) for path in jobs.inputs.dust_maps()]
    scale = settings.scale or (SFD_SCALE if len(files) == 2 else 1.0)
    wavelengths = {b.name: known_wavelength_um(b) for b in jobs.config.bands.values()}
    return {"files": files, "scale": scale, "law": settings.law, "R_V": settings.R_V, "wavelengths_um": wavelengths}


def compare_positions(jobs: Jobs) -> Spec:
    """Return the table of positions."""
    return {"positions": jobs.inputs.reference_positions()}


def sed_names(band: Band) -> Spec:
    """Return what SED codes call the filter of a band, by code; those that are not known are left out."""
    given = band.sed_filters.model_dump(exclude_none=True) if band.sed_filters else {}
    name = band.filter or band.name
    by_name = dict.fromkeys(("lephare", "cigale", "bagpipes"), name)
    return {**by_name, **names_in_codes(*([band.filter] if band.filter else []), band.name), **given}


def write_covariance(jobs: Jobs) -> Spec:
    """Return the bands in their order; files of covariances that were deleted are written again."""
    made = [f"bands/{band}/covariance.{ending}" for band in jobs.config.bands for ending in ("npz", "fits")]
    finished = (jobs.results / "flux_draws.fits").exists()
    return {"order": list(jobs.config.bands), "makes": made if finished else []}


def write_report(jobs: Jobs) -> Spec:
    """Return the bands with their images and wavelengths, the target; the style and the program of the page."""
    bands = jobs.config.bands.values()
    parts = sorted((jobs.provenance.scripts / "unblend/report/page_files").glob("*.*"))
    compared = {"reference_positions": True} if jobs.config.reference_positions else {}
    return {
        **compared,
        "bands": {b.name: {"image": jobs.inputs.image(b), "wavelength_um": known_wavelength_um(b)} for b in bands},
        "order": list(jobs.config.bands),
        "target": jobs.config.target.model_dump(),
        "page": {path.name: jobs.provenance.content(str(path)) for path in parts},
    }


def known_wavelength_um(band: Band) -> float | None:
    """Return a band's wavelength: from the configuration, else from the name of its filter or its own."""
    names = [name for name in (band.filter, band.name) if name]
    return band.wavelength or next(filter(None, map(wavelength_um, names)), None)


SETTINGS: dict[str, Callable[..., Spec]] = {
    function.__name__: function
    for function in (
        cut_mosaic, detect_sources, edit_segments, prepare_fit_psf, group_sources, fit_first_pass, fit_second_pass,
        collect_models, draw_fits, subtract_models, mask_band, subtract_background, prepare_psf, measure_shift,
        make_templates, extract_fluxes, run_monte_carlo, inspect_band, join_masks, join_tiles, join_offsets,
        write_catalogue, write_covariance,
        compare_positions, write_report,
    )
}  # fmt: skip
"""By rule: the function that returns the settings of a job, from the field and the job's wildcards."""

PRODUCTS = {
    "cut_mosaic": "bands/{band}/cutout.fits bands/{band}/cutout-weight.fits",
    "detect_sources": "det_stack.fits det_error.fits det_background.fits det_snr.fits det_auto_seg.fits "
    "det_auto_cat.fits det_hidden.reg",
    "edit_segments": "det_seg.fits det_cat.fits det_cat.reg",
    "prepare_fit_psf": "imfit/psf.fits",
    "group_sources": "imfit/groups.json imfit/mask.fits imfit/groups.reg",
    "collect_models": "imfit/models.json imfit/sersic.fits",
    "subtract_models": "imfit/det_stack-sub.fits imfit/det_stack-model.fits",
    "mask_band": "bands/{band}/mask.fits bands/{band}/mask.reg",
    "prepare_psf": "bands/{band}/psf.fits bands/{band}/psf_stars.fits",
    "subtract_background": "bands/{band}/background.fits",
    "measure_shift": "bands/{band}/astrometry.json bands/{band}/shift-sub.fits",
    "make_templates": "bands/{band}/templates.npz",
    "extract_fluxes": "bands/{band}/fluxes.fits bands/{band}/weight.fits bands/{band}/residual.fits "
    "bands/{band}/band_only.fits bands/{band}/band_only.reg bands/{band}/band_only.npz "
    "bands/{band}/error-parts.npz",
    "run_monte_carlo": "bands/{band}/monte_carlo.fits bands/{band}/monte_carlo.reg",
    "inspect_band": "bands/{band}/neighbours-removed.fits bands/{band}/proposed-sim.reg "
    "bands/{band}/proposed-border.reg bands/{band}/proposed-bad.reg",
    "join_masks": "bands/{band}/mask.fits bands/{band}/mask.reg bands/{band}/background.fits",
    "join_offsets": "bands/{band}/astrometry.json bands/{band}/shift-sub.fits",
    "write_catalogue": "catalogue.fits catalogue.ecsv catalogue.vot catalogue.fast.cat catalogue.eazy.cat "
    "catalogue.lephare.cat catalogue.lephare.para catalogue.cigale.txt catalogue.sed.json",
    "write_covariance": "flux_draws.fits",
    "draw_fits": "imfit/sheet.html",
    "compare_positions": "reference_positions.json",
    "write_report": "report/index.html provenance.json",
}
"""By rule: the products that its job makes again once they were damaged; those of the fits are in their settings."""
PRODUCTS["join_tiles"] = " ".join(
    [*(PRODUCTS[rule] for rule in ("extract_fluxes", "run_monte_carlo", "inspect_band")), "bands/{band}/tiles.json"]
)
