"""config.yaml, described once: every key with its type, limits, unit, default and meaning.

The checks, the JSON schema (workflow/schemas/config.schema.yaml) and the documentation of the keys (docs/config.md)
all come from the classes of this module; `make docs` renews the two files.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from ..core.angles import position_from_text
from ..core.errors import ConfigError
from ..core.shown import shortened
from ..io.selections import split_extension
from .config_conflicts import YTE_KEY, YTE_REFUSED, conflicts
from .config_errors import describe_mistakes
from .config_extinction import Extinction
from .config_psf import BandPsf
from .config_sed import SedFilters
from .config_tiles import Tiles
from .config_values import (
    AlsoAccepts,
    BandName,
    Declination,
    FileName,
    FilterName,
    Magnitude,
    NaturalNumber,
    Number,
    PolynomialOrder,
    PositiveNumber,
    PositiveWholeNumber,
    ResultsFolder,
    RightAscension,
    Section,
    WholeNumber,
    key,
)

MAX_MISTAKES = 30
"""Mistakes that are listed."""
MAX_STEPS = 300
"""Steps of the search for a shift on each side: 360 000 solutions."""
PsfKind = Literal["effective", "optical"]
PsfCentre = Literal["centroid", "given"]


class Target(Section):
    """The source of interest: cutouts are centred on it, and its neighbours are removed in neighbours-removed.fits."""

    ra: RightAscension = key(
        ..., "Right ascension (ICRS), in degrees or as '03:32:20.9' (hours, in quotes).", unit="deg"
    )
    dec: Declination = key(..., "Declination (ICRS), in degrees or as '-27:50:24' (in quotes).", unit="deg")

    @model_validator(mode="before")
    @classmethod
    def _both_in_one_text(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        position = position_from_text(data)
        if position is None:
            raise ValueError(
                "expected a section with ra and dec, or a position such as '03:32:20.9 -27:50:24', found "
                f"{shortened(data)!r}"
            )
        return dict(zip(("ra", "dec"), position, strict=True))


class MovingBackground(Section):
    """The background level in a moving box, with sources masked."""

    box: PositiveNumber = key(15.0, "Side of the moving box.", unit="arcsec")
    statistic: Literal["mean", "median"] = key("median", "Statistic of the pixels in the box.")


class Background(MovingBackground):
    """A background that varies: in a moving box (box, statistic), or as a polynomial (order); docs/background.md."""

    order: PolynomialOrder | None = key(
        None,
        "Order of a polynomial in the pixel coordinates, fitted together with the fluxes, in place of the moving box; "
        "null: the moving box.",
    )

    @model_validator(mode="before")
    @classmethod
    def _box_or_order(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("order") is not None and ({"box", "statistic"} & data.keys()):
            raise ValueError(
                "expected order, for a polynomial that is fitted with the fluxes, or box and statistic, for a moving "
                "box that is subtracted before; found both: remove one"
            )
        return data


class DetectionSettings(Section):
    """Detection of the sources on the stack of the detection bands."""

    bands: Annotated[list[str], Field(min_length=1, json_schema_extra={"uniqueItems": True})] = key(
        ..., "Names of the bands to detect on; all on one pixel grid."
    )
    flux_band: Annotated[str, AlsoAccepts("null")] = key(
        None, "Band on which the detection fluxes and min_snr are measured; null: the last of bands."
    )
    background: Literal["auto"] | MovingBackground | None = key(
        "auto",
        "Moving background to subtract from the detection images for the detection and the fits, {box, statistic}; "
        "auto: in a box of 15 arcsec, where it varies by more than 0.6 of the noise of a pixel and 6 of its own "
        "errors; null: none.",
    )
    conv_fwhm: Number = key(0.2, "FWHM of the Gaussian applied before detection.", unit="arcsec", ge=0)
    threshold: Number = key(1.5, "Detection threshold on the smoothed detection image.", unit="sigma", ge=0.3)
    deblend_levels: WholeNumber = key(32, "Number of deblending thresholds.", ge=1, le=1024)
    deblend_contrast: Number = key(
        0.005, "Smallest fraction of the flux of a blend that becomes a source of its own.", ge=0, le=1
    )
    min_area: WholeNumber = key(10, "Smallest area of a source.", unit="pixels", ge=1)
    min_snr: Number = key(10.0, "Smallest signal-to-noise ratio of a source on flux_band.")
    second_pass: Literal["auto", "propose", "off"] = key(
        "auto",
        "Sources hidden in the segment of a brighter one, unresolved pairs included. auto: they become sources, with "
        "IDs above 10 000 000; propose: they are only drawn in det_hidden.reg, which you may use as manual_regions; "
        "off: none are looked for. Your own segmentation or catalogue is used as it is.",
    )
    segmentation: FileName | None = key(
        None,
        "Your own segmentation map in place of the automatic detection: a FITS image of IDs (0: sky) on the detection "
        "grid. IDs are kept, and all sources, whatever threshold, min_area and min_snr are.",
    )
    catalogue: FileName | None = key(
        None,
        "Your own sources in place of the automatic detection: a table (FITS, VOTable, text) with id, ra, dec "
        "(degrees). IDs are kept, and all sources; their segments are grown down to threshold. With segmentation: the "
        "IDs to use.",
    )
    merge_regions: FileName = key("merged_segments.reg", "DS9 regions: all segments that a region touches become one.")
    manual_regions: FileName = key("det_manual.reg", "DS9 regions: each one is a source.")

    @model_validator(mode="before")
    @classmethod
    def _last_band_measures_fluxes(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("flux_band") is not None:
            return data
        data = {key: value for key, value in data.items() if key != "flux_band"}
        bands = data.get("bands")
        known = isinstance(bands, list) and bands and isinstance(bands[-1], str)
        return {**data, "flux_band": bands[-1]} if known else data


class ModelSettings(Section):
    """The fits of galaxy models to the detection stack."""

    psf: FileName = key(..., "PSF of the detection stack: the name of a band, or a file.")
    psf_kind: PsfKind = key("effective", "Kind of a PSF given as a file; that of a band is bands.*.psf_kind.")
    psf_centre: PsfCentre = key("centroid", "Centre of a PSF given as a file; that of a band is bands.*.psf_centre.")
    bad_regions: FileName = key("det_stack-bad.reg", "DS9 regions that the fits ignore.")
    overrides_dir: FileName = key(
        "overrides", "Folder of your {id}.dat files: start values and limits in IMFIT's syntax."
    )
    custom_dir: FileName = key(
        "custom_models", "Folder of your own model images {id}.fits, which are used without a fit."
    )
    gain: PositiveNumber | None = key(
        None, "Gain of the detection image at typical noise; null: no source noise.", unit="electrons per image unit"
    )
    refine: Literal["exact", "none"] = key(
        "exact",
        "exact: the models are the minimum of chi2 with exact profiles, IMFIT's are beside them; none: IMFIT's fit.",
    )
    detail: Literal["auto", "none"] = key(
        "auto",
        "auto: the template of a bright source whose profile fits poorly also contains what the profile leaves in the "
        "detection image; none: profiles only.",
    )
    components: Literal["auto", "single"] = key(
        "auto", "auto: bright galaxies are fitted as bulge and disc where these fit better; single: one profile each."
    )
    oversampling: WholeNumber = key(5, "Model pixels per detection pixel, along each axis.", ge=1, le=20)
    timeout: Number = key(600.0, "Processor time allowed for each pass of the fit of one group.", unit="s", gt=0)
    batch_size: Literal["auto"] | PositiveWholeNumber = key("auto", "Fit groups per job; 1: one job per group.")


class Weight(Section):
    """The weight map of a band; 0: no data. The name of a file alone means a map of inverse variance."""

    file: FileName = key(..., "FITS image on the pixel grid of the band.")
    kind: Literal["rms", "variance", "weight"] = key(
        "weight", "What the map holds; weight: the inverse variance up to a factor, also exposure times and coverages."
    )

    @model_validator(mode="before")
    @classmethod
    def _file_alone(cls, data: Any) -> Any:
        return {"file": data} if isinstance(data, str) else data


class ShiftSearch(Section):
    """The search for the shift between a band and the detection image."""

    references: Literal["auto"] | Annotated[list[PositiveWholeNumber], Field(min_length=1)] = key(
        "auto", "IDs of the reference sources, the anchor first; auto: bright, compact, isolated sources, no stars."
    )
    radius: PositiveNumber = key(1.5, "Radius of the pixels used around the anchor.", unit="arcsec")
    step: PositiveNumber = key(0.03, "Step of the grid of shifts.", unit="arcsec")
    max_shift: PositiveNumber = key(0.3, "Largest shift along each axis.", unit="arcsec")

    @model_validator(mode="after")
    def _grid_has_points(self) -> ShiftSearch:
        if self.step > self.max_shift:
            raise ValueError(f"step ({self.step:g}) is larger than max_shift ({self.max_shift:g}): make step smaller")
        if self.max_shift / self.step > MAX_STEPS:
            raise ValueError(
                f"step ({self.step:g}) is too small for max_shift ({self.max_shift:g}): expected at most {MAX_STEPS} "
                "steps on each side"
            )
        return self


class VaryingShift(Section):
    """A shift that varies over the image of a band."""

    field: Literal["auto"] = key(
        "auto", "auto: a polynomial in the position, from the offsets of bright sources, whose order they choose."
    )


class Band(Section):
    """One band: its image, PSF, noise, shift, background and calibration."""

    _name: str = PrivateAttr("")

    image: FileName | None = key(
        None,
        "FITS image; image.fits[EXT] or image.fits[EXT,2] names an extension, cube.fits[EXT][*,*,3] a plane of a cube. "
        "Either image or mosaic is needed.",
    )
    mosaic: FileName | None = key(None, "In place of image: a large file or a URL, cut around the target.")
    cutout_size: PositiveNumber | None = key(None, "Side of the cutout from mosaic.", unit="arcsec")
    weight: Annotated[Weight, AlsoAccepts("string")] | None = key(
        None,
        "Weight map: a file of inverse variance up to a factor (also exposure times or coverages), or {file, kind}, "
        'also an extension as in {file: "image.fits[ERR]", kind: rms}; null: the noise of every pixel is rms. That of '
        "a detection band is also used in the detection and the fits.",
    )
    psf: Annotated[BandPsf, AlsoAccepts("string")] | None = key(
        None,
        "PSF: a file (or psf.fits[EXT]); {file, polygons}: several PSFs and the polygons where they hold; or "
        "{stars: auto}: built from the stars of the image. Needed.",
    )
    psf_oversampling: Number = key(
        1.0,
        "PSF pixels per image pixel, along each axis. It has to agree with what the file of the PSF says, if it does.",
        gt=0,
        le=50,
    )
    psf_kind: PsfKind = key(
        "effective", "effective: the PSF includes the pixel response (measured PSFs); optical: it does not."
    )
    psf_sum: Literal["unit", "given"] = key(
        "unit",
        "unit: the PSF is divided by its sum; given: the sum of the file, at most 1.05, is kept as the fraction of the "
        "light that the stamp holds, and fluxes include the rest. (The fits use unit sum: it does not change shapes.)",
    )
    psf_centre: PsfCentre = key(
        "centroid",
        "What lies at the position of a source: the centroid of the PSF, in a Gaussian window 3 times as wide as the "
        "PSF; or given: the middle of the array, between the two central pixels where a side is even.",
    )
    psf_error: Number = key(
        0.0,
        "Uncertainty of the FWHM of the PSF (1 sigma) as a fraction of it: what it does to the fluxes is part of their "
        "errors; 0: the PSF is exact.",
        ge=0,
        le=0.5,
    )
    saturation: Number | None = key(
        None,
        "Level from which a pixel is saturated: masked, its sources flagged; null: that at which any cores are cut.",
        unit="image units",
    )
    rms: Literal["auto"] | PositiveNumber = key(
        "auto",
        "Noise of a pixel; auto: robust scatter of source-free pixels. Not used with a weight map, which is scaled to "
        "that scatter.",
        unit="image units",
    )
    shift: Literal["auto"] | VaryingShift | Annotated[list[Number], Field(min_length=2, max_length=2)] = key(
        [0.0, 0.0],
        "Shift along image X and Y, added to the positions of the models; auto: the result of the search; "
        "{field: auto}: the same, and a smooth field of shifts that is left after it.",
        unit="arcsec",
    )
    background: Background | None = key(
        None,
        "A background that varies: {box, statistic}, a moving box that is subtracted, or {order}, a polynomial that is "
        "fitted with the fluxes; null: a constant that is fitted.",
    )
    mask_all_regions: FileName = key("mask_all.reg", "DS9 regions that the background ignores, besides the segments.")
    border_regions: FileName | None = key(
        None, "DS9 regions to mask; null: {band}-mask-border.reg if it exists, else mask_border.reg."
    )
    bad_regions: FileName | None = key(
        None, "DS9 regions to mask; null: {band}-bad.reg if it exists, else {stem of image}-bad.reg."
    )
    sim_regions: FileName = key(
        "auto",
        "DS9 circles of empty sky for the Monte Carlo errors; auto: {band}-sim.reg or {stem of image}-sim.reg if one "
        "exists, else placed by the workflow.",
    )
    band_only_sources: Literal["auto", "off"] = key(
        "auto",
        "Sources that only this band shows. auto: peaks of its residual that are sources are fitted as points together "
        "with all others (band_only.fits; docs/band-only-sources.md), in bands that the detection does not use; off: "
        "none are looked for, and their light is masked.",
    )
    astrometry: ShiftSearch | None = key(
        None, "Search for the shift, {references, radius, step, max_shift}; null: only if shift is auto."
    )
    zero_point: Literal["auto"] | Magnitude | None = key(
        None,
        "AB magnitude of one image unit; auto: from the header (BUNIT, PHOTFLAM with PHOTPLAM, MAGZERO …), which has "
        "to be clear; null: no magnitudes.",
        unit="mag",
    )
    filter: FilterName | None = key(
        None, "Name of the filter in the FAST and EAZY files, without white space; null: the band's name."
    )
    sed_filters: SedFilters | None = key(
        None, "Names of the filter in SED codes, {eazy, lephare, …} (docs/sed-codes.md); null: known ones by filter."
    )
    wavelength: PositiveNumber | None = key(
        None,
        "Pivot wavelength, for the plots of the report, and for zero_point: auto where the image is in flux per "
        "wavelength; null: from the name of the filter or band (for plots only).",
        unit="micrometre",
    )

    @model_validator(mode="before")
    @classmethod
    def _shift_auto_needs_a_search(cls, data: Any) -> Any:
        searched = isinstance(data, dict) and (data.get("shift") == "auto" or isinstance(data.get("shift"), dict))
        if searched and data.get("astrometry") is None:
            return {**data, "astrometry": {}}
        return data

    @property
    def name(self) -> str:
        """The band's name: its key in `bands`."""
        return self._name

    @property
    def has_star_psf(self) -> bool:
        """Whether the PSF is built from the stars of the band's image."""
        return self.psf is not None and self.psf.stars is not None

    @property
    def is_shift_measured(self) -> bool:
        """Whether the shift is the result of a search; otherwise it is given."""
        return not isinstance(self.shift, list)

    @property
    def moving_background(self) -> Background | None:
        """The background in a moving box that is subtracted before the fluxes are fitted, if there is one."""
        return None if self.background is None or self.background.order is not None else self.background

    @property
    def background_order(self) -> int:
        """Order of the polynomial that is fitted with the fluxes; 0 for a constant."""
        return 0 if self.background is None else self.background.order or 0

    @property
    def stem(self) -> str:
        """The image's file name without its ending; the band's name where a mosaic is cut."""
        if self.image is None:
            return self.name
        name = split_extension(self.image)[0].rsplit("/", 1)[-1]
        for ending in (".gz", ".fz", ".fits", ".fit"):
            name = name.removesuffix(ending)
        return name


class CatalogueSettings(Section):
    """The final catalogue."""

    error_floor: Number = key(0.0, "Fraction of the flux that is added to its error in quadrature.", ge=0)
    upper_limit: PositiveNumber = key(
        3.0,
        "Flux over its error below which mag_limit_{band} has an upper limit: as many errors above the flux, or above "
        "zero for a negative one.",
    )


class Config(Section):
    """Every key of config.yaml. Relative paths are relative to data_dir; a missing optional file is an empty one."""

    data_dir: FileName = key(".", "Folder of the inputs, relative to where Snakemake runs.")
    results_dir: ResultsFolder = key("results", "Folder of all products, relative to where Snakemake runs.")
    example_seed: NaturalNumber | None = key(
        None, "Seed of the example field, which is then drawn into data_dir; null for your own images."
    )
    target: Annotated[Target, AlsoAccepts("string")] = key(
        ..., "The source of interest: {ra, dec}, or both in one text such as '03:32:20.9 -27:50:24'."
    )
    reference_positions: FileName | None = key(
        None,
        "Table of positions (ra, dec; degrees), such as Gaia's at the epoch of the images, with which those of the "
        "detected sources are compared: reported, never applied; null: none.",
    )
    detection: DetectionSettings = key(..., "Detection of the sources.")
    models: ModelSettings = key(..., "Fits of galaxy models to the detection stack.")
    band_defaults: Band = Field(
        default_factory=Band, description="Any key of a band: its value for all bands that do not give their own."
    )
    bands: dict[BandName, Band] = Field(
        description="The bands by name, those of the detection included.",
        min_length=1,
        json_schema_extra={"additionalProperties": False},
    )
    tiles: Tiles = Field(default_factory=Tiles, description="The parts in which large images are measured.")
    extinction: Extinction | None = key(
        None, "Galactic extinction of every source and band as columns of the catalogue; null: none."
    )
    catalogue: CatalogueSettings = Field(default_factory=CatalogueSettings, description="The final catalogue.")

    @model_validator(mode="after")
    def _name_bands(self) -> Config:
        for name, band in self.bands.items():
            band._name = name
        return self

    @property
    def error_floor(self) -> float:
        """Fraction of the flux that is added to its error in quadrature."""
        return self.catalogue.error_floor


def load_config(raw: Mapping[str, Any]) -> Config:
    """Return the configuration that `raw` (parsed YAML) describes, with defaults filled in.

    Raises
    ------
    ConfigError
        With every mistake on a line of its own.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"config.yaml: the file holds {type(raw).__name__}: expected sections (target, detection …).")
    data = _with_band_defaults({key: copy.deepcopy(value) for key, value in raw.items() if key != YTE_KEY})
    mistakes = [*([YTE_REFUSED] if YTE_KEY in raw else []), *conflicts(data)]
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        mistakes = [*describe_mistakes(error.errors(), data, config_schema(), inherited=_inherited(raw)), *mistakes]
    if mistakes:
        more = [f"… and {len(mistakes) - MAX_MISTAKES} more."] if len(mistakes) > MAX_MISTAKES else []
        raise ConfigError("config.yaml: " + "\n             ".join(mistakes[:MAX_MISTAKES] + more))
    return config


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of config.yaml, with the unit of a key as `unit`."""
    schema = _without_titles(Config.model_json_schema())
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "unblend configuration"}
    return {**head, **{key: value for key, value in schema.items() if key != "$defs"}, "$defs": schema["$defs"]}


def _without_titles(schema: Any) -> Any:
    """Drop the titles that pydantic makes of the names of keys and classes: they say nothing more."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _without_titles(value) for key, value in schema.items() if key != "title"}


def _with_band_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with `band_defaults` in every band, and nothing (null) for an empty section."""
    for section in ("band_defaults", "catalogue", "tiles"):
        if section in data and data[section] is None:
            data[section] = {}
    defaults, bands = data.get("band_defaults", {}), data.get("bands")
    if isinstance(defaults, dict) and isinstance(bands, dict):
        data["bands"] = {
            name: {**copy.deepcopy(defaults), **(band or {})} if isinstance(band or {}, dict) else band
            for name, band in bands.items()
        }
    return data


def _inherited(raw: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Return the keys (bands, name, key) whose value comes from `band_defaults`, where its mistakes are reported."""
    defaults, bands = raw.get("band_defaults"), raw.get("bands")
    if not isinstance(defaults, dict) or not isinstance(bands, dict):
        return set()
    own = {name: band if isinstance(band, dict) else {} for name, band in bands.items()}
    return {("bands", name, key) for name, band in own.items() for key in defaults if key not in band}
