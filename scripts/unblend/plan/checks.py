"""What can be wrong with a field, found before any job starts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import DETECTION_GRID_TOLERANCE_PIXELS, largest_offset, pixel_scale, pixel_to_sky, sky_to_pixel
from ..core.errors import InputError, UnblendError
from ..io.files import digest_of, is_url, read_note, read_text
from ..io.header_zero_point import read_zero_point
from ..io.images import image_extensions, read_shape, read_wcs
from ..io.regions import parse_regions
from ..io.selections import split_extension
from .config import Band, Config, load_config
from .example import example_is_missing
from .image_checks import NO_IMAGE, image_warnings
from .inputs import SOURCE_ID
from .jobs import Jobs
from .length_checks import bad_lengths
from .mosaic_checks import bad_mosaic
from .provenance import Provenance
from .psf_checks import bad_psfs, psf_files, star_files
from .results_folder import bad_results_folder
from .specs import Purpose, SpecStore

if TYPE_CHECKING:
    from astropy.wcs import WCS

PIXEL_TOLERANCE = 0.02
"""Largest relative difference of pixels that one PSF fits."""
LARGEST_PIXEL_RATIO = 1000.0
"""Largest pixels of a band over those of the detection image: a pixel scale in arcsec is 3600 times too large."""
CLOCK_TOLERANCE_S = 5.0
"""Seconds by which clocks of a network may differ."""
ImageGrid = tuple[tuple[int, int], "WCS"]


CONFIG_NOTE = "config.json"
"""Beside the specs: the configuration of the last run with its defaults, for the record of what made the products."""


def load_field(
    raw: Mapping[str, Any], scripts: Path, purpose: Callable[[], Purpose], *, check: bool = True
) -> tuple[Config, Jobs]:
    """Return the checked configuration and the job specs of a field.

    Parameters
    ----------
    raw : mapping
        The configuration as YAML gives it.
    scripts : Path
        The folder of the scripts.
    purpose : callable
        Returns what this process is for, see `SpecStore`.
    check : bool
        Whether to check the input files: not in a process that runs one job for another Snakemake process.

    Raises
    ------
    UnblendError
        With every mistake of the configuration, or of the input files, on a line of its own.
    """
    config = load_config(raw)
    jobs = jobs_of(config, scripts, purpose)
    jobs.store.note(CONFIG_NOTE, config.model_dump(mode="json"))
    missing = example_is_missing(config)
    if check and missing and config.tiles.size != "auto":
        raise InputError(
            "tiles.size: expected auto as long as the example field is not drawn, since the tiles follow from its "
            f"images; found {config.tiles.size:g}. Run once with tiles: {{size: auto}}, then with your size."
        )
    if check and not missing:
        check_inputs(jobs)
        _warn_of_unused_files(jobs)
        _warn_of_future_times(jobs)
        warn_of_images(jobs)
    return config, jobs


def jobs_of(config: Config, scripts: Path, purpose: Callable[[], Purpose] = lambda: "plan") -> Jobs:
    """Return the job specs of a field.

    Parameters
    ----------
    config : Config
    scripts : Path
        The folder of the scripts.
    purpose : callable
        Returns the purpose of this process, see `SpecStore`; by default nothing is written.
    """
    results = Path(config.results_dir)
    folder = results / "specs"
    return Jobs(config, Provenance(scripts, folder), SpecStore(folder, purpose), results)


def check_inputs(jobs: Jobs) -> None:
    """Check the input files; files that passed once and have not changed are not read again.

    Raises
    ------
    InputError
        With every mistake on a line of its own.
    """
    models = jobs.config.models
    folders = [Path(jobs.inputs.path(name)) for name in ("", models.overrides_dir, models.custom_dir)]
    mistakes = [*bad_results_folder(jobs.results, _files(jobs), folders), *_missing(jobs)]
    if not mistakes:
        state = _state(jobs)
        if read_note(jobs.results / "specs" / "checked.json", "") == state:
            return
        mistakes = [*bad_psfs(jobs), *_bad_grids(jobs), *_bad_text_files(jobs)]
        if not mistakes:
            mistakes = [*_bad_own_detection(jobs), *_bad_reference_positions(jobs)]
        if not mistakes:
            jobs.store.note("checked.json", state)
    if mistakes:
        raise InputError("the input files have mistakes:\n  " + "\n  ".join(mistakes))


def _files(jobs: Jobs) -> Iterator[tuple[str, str]]:
    """Key in the configuration and path of every file that must exist."""
    for band in jobs.config.bands.values():
        named = {"image": band.image, "mosaic": band.mosaic}
        psf = band.psf.model_dump(include={"file", "polygons", "stars"}, exclude_none=True) if band.psf else {}
        named |= {"psf" if key == "file" else f"psf.{key}": name for key, name in psf.items() if name != "auto"}
        named["weight"] = band.weight.file if band.weight else None
        named |= {key: getattr(band, key) for key in ("border_regions", "bad_regions")}
        named["sim_regions"] = band.sim_regions if band.sim_regions != "auto" else None
        for key, name in named.items():
            # Region files are optional: a missing one is empty.
            if name is not None and not key.endswith("_regions") and not is_url(name):
                yield f"bands.{band.name}.{key}", split_extension(jobs.inputs.path(name))[0]
    detection = jobs.config.detection
    tables = {"detection.segmentation": detection.segmentation, "detection.catalogue": detection.catalogue}
    tables["reference_positions"] = jobs.config.reference_positions
    # Their names alone: a digest cannot be computed of a folder.
    yield from ((key, split_extension(jobs.inputs.path(name))[0]) for key, name in tables.items() if name is not None)
    yield from (("extinction.map", split_extension(path)[0]) for path in jobs.inputs.dust_maps())
    if jobs.config.models.psf not in jobs.config.bands:
        yield "models.psf", split_extension(jobs.inputs.path(jobs.config.models.psf))[0]


def _missing(jobs: Jobs) -> Iterator[str]:
    if jobs.config.extinction is not None and find_spec("dust_extinction") is None:
        yield "extinction: the package dust-extinction is not installed; install it with pip, or remove extinction."
    for key, path in _files(jobs):
        try:
            found = Path(path).is_file()
        except OSError as error:  # a folder that may not be entered
            yield f"{key}: {path} cannot be read: {error.strerror}; change its permissions or its name."
            continue
        if not found:
            hint = ", and no band has that name" if key == "models.psf" else ""
            fault = "is no file, but a folder or device" if Path(path).exists() else f"does not exist{hint}"
            yield f"{key}: {path} {fault}; correct the name or data_dir ({jobs.config.data_dir})."


def _region_files(jobs: Jobs) -> list[str]:
    detection, models = jobs.config.detection, jobs.config.models
    names: list[str | None] = [detection.merge_regions, detection.manual_regions, models.bad_regions]
    for band in jobs.config.bands.values():
        names += [
            jobs.inputs.bad_regions(band),
            jobs.inputs.border_regions(band),
            jobs.inputs.sim_regions(band),
            band.mask_all_regions,
        ]
    return sorted({jobs.inputs.path(name) for name in names if name})


def region_warnings(jobs: Jobs) -> Iterator[str]:
    """Yield what the region files say that is ignored, or is doubtful: sizes in degrees that may be meant in arcsec."""
    for path in _region_files(jobs):
        if Path(path).is_file():
            yield from parse_regions(read_text(path), path)[1]


def _state(jobs: Jobs) -> str:
    """Return the digest of all that the checks have looked at."""

    def known(digest: Callable[[str], str | None], path: str) -> str | None:
        try:
            return digest(path)
        except UnblendError:
            return "unreadable"

    provenance, bands = jobs.provenance, jobs.config.bands.values()
    images = [jobs.inputs.path(band.image) for band in bands if band.image is not None]
    images += [jobs.inputs.path(band.mosaic) for band in bands if band.mosaic is not None]
    weights = [jobs.inputs.path(band.weight.file) for band in bands if band.weight is not None]
    frames = {path: known(provenance.grid, path) for path in [*images, *weights] if not is_url(path)}
    psfs = [
        [key, *(path and known(provenance.content, path) for path in files)] for key, files in psf_files(jobs).items()
    ]
    psfs += [[key, known(provenance.content, path)] for key, path in star_files(jobs).items()]
    regions = {path: known(provenance.regions, path) for path in _region_files(jobs)}
    overrides = {str(path): provenance.content(str(path)) for path in jobs.inputs.override_files()}
    own = jobs.inputs.own_detection()
    target = jobs.config.target.model_dump()
    zero_points = {b.name: [known(provenance.grid, path), b.wavelength] for b in bands if b.zero_point == "auto"
                   and (path := _own_image(jobs, b)) is not None}  # fmt: skip
    sizes = [band.cutout_size for band in bands]
    lengths = [sizes, jobs.config.detection.model_dump(mode="json", include={"background"}),
               [band.model_dump(mode="json", include={"background", "shift"}) for band in bands]]  # fmt: skip
    looked_at = [
        lengths,
        list(jobs.config.bands),
        frames,
        psfs,
        regions,
        overrides,
        jobs.config.detection.bands,
        own,
        target,
    ]
    return digest_of([*looked_at, zero_points, jobs.config.models.psf, jobs.inputs.reference_positions()])


def _bad_grids(jobs: Jobs) -> Iterator[str]:
    """Yield what is wrong with images and weights: unreadable, without a sky, on grids that do not fit."""
    grids: dict[str, ImageGrid] = {}
    for name, band in jobs.config.bands.items():
        if band.mosaic is not None:
            yield from bad_mosaic(band, jobs.inputs, jobs.config.target.model_dump())
            continue
        try:
            grids[name] = read_shape(jobs.inputs.image(band)), read_wcs(jobs.inputs.image(band))
        except UnblendError as error:
            yield f"bands.{name}.image: {error}"
            continue
        yield from _wrong_extension(jobs, band)
        yield from _bad_weight(jobs, band, grids[name][0])
    yield from _bad_zero_points(jobs)
    yield from _bad_target(jobs.config, grids)
    yield from bad_lengths(jobs.config, grids)
    detection = [name for name in jobs.config.detection.bands if name in grids]
    if not detection:
        return
    first = detection[0]
    yield from _fit_psf_of_other_pixels(jobs.config, grids, first)
    for name, grid in grids.items():
        if name in detection and name != first:
            yield from _other_grid(name, grid, first, grids[first])
        elif not _overlap(grid, grids[first]):
            image = jobs.inputs.image(jobs.config.bands[name])
            yield (f"bands.{name}.image: {image} does not overlap the detection images ({first}); "
                   "drop the band or correct its world coordinates.")  # fmt: skip
        else:
            yield from _odd_pixels(name, grid, first, grids[first])


def _wrong_extension(jobs: Jobs, band: Band) -> Iterator[str]:
    """Yield a sentence if the image that is read where no extension is named is not one of the sky, by its EXTNAME."""
    path = jobs.inputs.image(band)
    if split_extension(path)[1] is not None:
        return
    number, names = image_extensions(path)
    others = [name for index, name in names.items() if index != number and name and not NO_IMAGE.fullmatch(name)]
    if NO_IMAGE.fullmatch(names[number]) and others:
        named = " or ".join(f'"{Path(path).name}[{name}]"' for name in others)
        yield (f"bands.{band.name}.image: the first image of {path} is the extension {names[number]}, which by its "
               f"name is not an image of the sky; write {named}, in quotes.")  # fmt: skip


def _odd_pixels(name: str, grid: ImageGrid, first: str, detection: ImageGrid) -> Iterator[str]:
    """Yield why the pixels of a band cannot be as large as its header says."""
    scale, finest = (pixel_scale(wcs, shape) for shape, wcs in (grid, detection))
    if scale > LARGEST_PIXEL_RATIO * finest:
        yield (f"bands.{name}.image: its pixels have {scale:.4g} arcsec by the header, and those of the detection "
               f"image ({first}) {finest:.4g}; CDELT or CD has to be in degrees. Correct the header.")  # fmt: skip


def _fit_psf_of_other_pixels(config: Config, grids: Mapping[str, ImageGrid], first: str) -> Iterator[str]:
    """Yield why the PSF of a band cannot be that of the fits: it is on pixels of another size."""
    name = config.models.psf
    if name not in grids:
        return
    scale, expected = (pixel_scale(wcs, shape) for shape, wcs in (grids[name], grids[first]))
    if abs(scale / expected - 1.0) > PIXEL_TOLERANCE:
        yield (f"models.psf: band {name} has pixels of {scale:.4g} arcsec, and the detection images ({first}) of "
               f"{expected:.4g}; expected the PSF of the detection images: name one of detection.bands, or a file with "
               "a PSF on their pixels.")  # fmt: skip


def _bad_zero_points(jobs: Jobs) -> Iterator[str]:
    """Yield why the zero point of a band cannot be read from its header; one in the network is read in its job."""
    for band in jobs.config.bands.values():
        if band.zero_point == "auto" and (path := _own_image(jobs, band)) is not None:
            try:
                read_zero_point(path, wavelength_um=band.wavelength)
            except UnblendError as error:
                yield f"bands.{band.name}.zero_point: {error}"


def zero_points_read(jobs: Jobs) -> Iterator[str]:
    """Yield a line for each band whose zero point is read from its header, once the input files have been checked."""
    for band in jobs.config.bands.values():
        if band.zero_point == "auto" and (path := _own_image(jobs, band)) is not None:
            yield f"bands.{band.name}.zero_point: {read_zero_point(path, wavelength_um=band.wavelength)}"


def _own_image(jobs: Jobs, band: Band) -> str | None:
    """Return the file of a band's image or mosaic; None for one in the network."""
    path = jobs.inputs.path(band.image or band.mosaic or "")
    return None if is_url(path) else path


def _bad_target(config: Config, grids: Mapping[str, ImageGrid]) -> Iterator[str]:
    """Yield what is wrong with the target, where the images of all bands are there: it has to be on one of them."""
    ra, dec = config.target.ra, config.target.dec
    if len(grids) < len(config.bands) or any(_covers(grid, ra, dec) for grid in grids.values()):
        return
    name = config.detection.bands[0] if config.detection.bands[0] in grids else next(iter(grids))
    (ny, nx), wcs = grids[name]
    (ra0,), (dec0,) = pixel_to_sky(wcs, np.array([(ny - 1) / 2]), np.array([(nx - 1) / 2]))
    hours = ra < 24.0 and any(_covers(grid, 15.0 * ra, dec) for grid in grids.values())
    advice = f"ra seems to be in hours: write {15.0 * ra:.6g}, or '03:32:20.9' in quotes" if hours else "correct it"
    yield (f"target: ra = {ra:.6g}, dec = {dec:.6g} (degrees) is on none of the images; the centre of {name} is at "
           f"ra = {ra0:.6g}, dec = {dec0:.6g}: {advice}.")  # fmt: skip


def _covers(grid: ImageGrid, ra: float, dec: float) -> bool:
    """Whether a position on the sky lies on an image."""
    (ny, nx), wcs = grid
    (y,), (x,) = sky_to_pixel(wcs, np.array([ra]), np.array([dec]))
    # A comparison with NaN, the other side of the sky, is false.
    return bool(-0.5 <= y <= ny - 0.5 and -0.5 <= x <= nx - 0.5)


def _bad_weight(jobs: Jobs, band: Band, shape: tuple[int, int]) -> Iterator[str]:
    weight = jobs.inputs.weight(band)
    if weight is None:
        return
    try:
        found = read_shape(weight["file"])
    except UnblendError as error:
        yield f"bands.{band.name}.weight: {error}"
        return
    if found != shape:
        yield (f"bands.{band.name}.weight: {weight['file']} has {found[1]} x {found[0]} pixels and the image "
               f"{shape[1]} x {shape[0]}: both must lie on one grid.")  # fmt: skip


def _other_grid(name: str, grid: ImageGrid, first: str, expected: ImageGrid) -> Iterator[str]:
    if grid[0] != expected[0]:
        yield (f"detection.bands: {name} has {grid[0][::-1]} pixels and {first} {expected[0][::-1]}: "
               "all must lie on one grid; reproject one of them.")  # fmt: skip
        return
    off = largest_offset(grid[1], expected[1], grid[0])
    # NaN, the other side of the sky, compares false
    if not off <= DETECTION_GRID_TOLERANCE_PIXELS:
        yield (f"detection.bands: {name} and {first} have different world coordinates (up to {off:.2f} pixels apart): "
               "all must lie on one grid; reproject one of them.")  # fmt: skip


def _overlap(grid: ImageGrid, other: ImageGrid) -> bool:
    """Whether a point of one image lies on the other; either may be the larger."""
    for (shape, wcs), (other_shape, other_wcs) in ((grid, other), (other, grid)):
        y, x = sky_to_pixel(other_wcs, *pixel_to_sky(wcs, *_sample(shape)))
        if np.any((y > -0.5) & (y < other_shape[0] - 0.5) & (x > -0.5) & (x < other_shape[1] - 0.5)):
            return True
    return False


def _sample(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return 21 × 21 pixel positions (y, x) from corner to corner."""
    y, x = np.meshgrid(*(np.linspace(0.0, side - 1.0, 21) for side in shape), indexing="ij")
    return y.ravel(), x.ravel()


def _bad_own_detection(jobs: Jobs) -> Iterator[str]:
    """Yield what is wrong with the user's segmentation map and catalogue, once the detection images are good."""
    own = jobs.inputs.own_detection()
    if not own:
        return
    from ..field.own_sources import check_own

    band = jobs.config.bands[jobs.config.detection.bands[0]]
    names = {key: str(record["file"]) for key, record in own.items()}
    try:
        check_own(names, None if band.mosaic is not None else jobs.inputs.image(band))
    except UnblendError as error:
        yield f"detection.{' and detection.'.join(own)}: {error}"


def _bad_reference_positions(jobs: Jobs) -> Iterator[str]:
    """Yield what is wrong with the table of reference positions."""
    given = jobs.inputs.reference_positions()
    if given is None:
        return
    from ..io.source_lists import read_positions

    try:
        read_positions(str(given["file"]))
    except UnblendError as error:
        yield f"reference_positions: {error}"


def _bad_text_files(jobs: Jobs) -> Iterator[str]:
    """Yield what cannot be understood in region files and overrides."""
    from ..fits.override_groups import requested_groups
    from ..fits.overrides import parse_override

    for path in _region_files(jobs):
        try:
            jobs.provenance.regions(path)
        except UnblendError as error:
            yield str(error)
    mistakes = []
    for file in jobs.inputs.override_files():
        try:
            parse_override(read_text(file), str(file))
        except UnblendError as error:
            mistakes.append(str(error))
    yield from mistakes
    if not mistakes:
        try:
            requested_groups(jobs.inputs.override_texts())
        except UnblendError as error:
            yield str(error)


def _warn_of_future_times(jobs: Jobs) -> None:
    """Warn of inputs from the future: Snakemake refuses products that are older than what they are made from."""
    now = time.time()
    paths = sorted({path for _, path in _files(jobs) if Path(path).stat().st_mtime > now + CLOCK_TOLERANCE_S})
    if paths:
        sys.stderr.write(
            f"unblend: {', '.join(paths)}: the modification time is in the future, and Snakemake will refuse the "
            "products of the jobs that read it. Correct the clock, or use `touch` on it.\n"
        )


def warn_of_images(jobs: Jobs) -> None:
    """Print what may be wrong with the images of the bands, by their headers and names."""
    for sentence in image_warnings(list(jobs.config.bands.values()), jobs.inputs):
        sys.stderr.write(f"unblend: {sentence}\n")


def _warn_of_unused_files(jobs: Jobs) -> None:
    """Warn of overrides and custom models that no source has: no mistake, as the next detection may bring it."""
    models = jobs.config.models
    files = [*jobs.inputs.override_files(), *sorted(Path(jobs.inputs.path(models.custom_dir)).glob("*.fits"))]
    catalogue = jobs.results / "det_cat.fits"
    if not files or not catalogue.exists():
        return
    from ..io.tables import read_sources

    try:
        ids = {int(i) for i in read_sources(str(catalogue))["id"]}
    except (UnblendError, ValueError):
        return  # damaged: the job that reads it says so
    unused = [str(file) for file in files if not (SOURCE_ID.fullmatch(file.stem) and int(file.stem) in ids)]
    if unused:
        sys.stderr.write(
            f"unblend: not used: {', '.join(unused)}: there is no such source in {catalogue} "
            f"(IDs {min(ids, default=0)} to {max(ids, default=0)}).\n"
        )
