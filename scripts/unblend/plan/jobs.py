"""What each job of the workflow depends on: one method a rule, one dictionary a job spec.

This is the table of docs/incremental.md in code. A method returns the settings that its stage uses and the digests
of the inputs that Snakemake must not judge by time; products of other jobs are ordinary inputs in the rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.filters import wavelength_um
from ..fits.override_groups import requested_groups
from ..io.files import digest_of, is_url, read_json
from .batches import assign_batches
from .config import Band, Config
from .provenance import Provenance

Spec = dict[str, Any]

TEMPLATES = "unblend/models/templates"
SUBTRACTION = "unblend/models/subtraction"
"""The fits need the two for a user's models alone: an edit of them is no reason to fit all others again."""
RENDERING = "unblend/run/render_batch"
"""The job of the second pass draws the models, too; what it fits does not depend on that."""


class Jobs:
    """Builds the specs of one field.

    Parameters
    ----------
    config : Config
    provenance : Provenance
    results : Path
        Folder of the products.
    """

    def __init__(self, config: Config, provenance: Provenance, results: Path):
        self.config, self.provenance, self.results = config, provenance, results
        self.data = Path(config.data_dir)
        self._groups_path = str(results / "imfit" / "groups.json")
        self._grouping_kept: tuple[tuple[int, ...], Spec] = ((), {})
        self._first_keys: dict[str, str] = {}
        self._user_files: dict[str, Spec] = {}
        self._batches: Mapping[str, list[str]] = {}
        self._batch_of: dict[str, str] = {}

    def write(self, rule: str, **wildcards: str) -> str:
        """Return the path of the spec of a job of `rule`, up to date."""
        name = "/".join([rule, *wildcards.values()]) if wildcards else rule
        content = getattr(self, rule)(**wildcards)
        if "makes" in content:
            content["lost"] = self.provenance.lost(name, [self.results / path for path in content.pop("makes")])
        return self.provenance.spec(name, {"code": self.provenance.code(rule), **content})

    # Inputs ------------------------------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """Return a name from the config as a path: relative ones lie in data_dir; an [EXT] stays."""
        return name if is_url(name) else str(self.data / name)

    def image(self, band: Band) -> str:
        """Return the path of a band's image: the user's, or the cutout that the workflow makes."""
        if band.image is not None:
            return self.path(band.image)
        return str(self.results / "bands" / band.name / "cutout.fits")

    def weight(self, band: Band) -> dict[str, str] | None:
        """Return path and kind of a band's weight map, cut out where the image is."""
        if band.weight is None:
            return None
        path = self.path(band.weight["file"])
        if band.mosaic is not None:
            path = str(self.results / "bands" / band.name / "cutout-weight.fits")
        return {"file": path, "kind": band.weight["kind"]}

    def _file(self, path: str) -> dict[str, str | None]:
        return {"file": path, "digest": self.provenance.content(path)}

    def _image_file(self, band: Band) -> dict[str, str | None]:
        """Return a band's image with its digest; that of a cutout is the digest of what it is cut from."""
        if band.mosaic is None:
            return self._file(self.image(band))
        return {"file": self.image(band), "digest": digest_of(self.cut_mosaic(band.name))}

    def _grid_file(self, band: Band) -> dict[str, str | None]:
        """Return a band's image with the digest of its header: for stages that use its grid and not its pixels."""
        if band.mosaic is not None:
            return self._image_file(band)
        path = self.image(band)
        return {"file": path, "digest": self.provenance.grid(path)}

    def _weight_file(self, band: Band) -> dict[str, str | None] | None:
        weight = self.weight(band)
        if weight is None:
            return None
        return {**self._file(weight["file"]), "kind": weight["kind"]} if band.mosaic is None else dict(weight)

    def _regions(self, name: str) -> dict[str, str | None]:
        path = self.path(name)
        return {"file": path, "digest": self.provenance.regions(path)}

    def _first_existing(self, *names: str) -> str:
        return next((name for name in names if Path(self.path(name)).exists()), names[-1])

    def bad_regions(self, band: Band) -> str:
        """Return the name of a band's file of bad regions."""
        return band.bad_regions or self._first_existing(f"{band.name}-bad.reg", f"{band.stem}-bad.reg")

    def border_regions(self, band: Band) -> str:
        """Return the name of a band's file of border regions."""
        return band.border_regions or self._first_existing(f"{band.name}-mask-border.reg", "mask_border.reg")

    def sim_regions(self, band: Band) -> str | None:
        """Return the name of a band's file of empty regions, None where they are to be placed."""
        if band.sim_regions != "auto":
            return band.sim_regions
        name = self._first_existing(f"{band.name}-sim.reg", f"{band.stem}-sim.reg")
        return name if Path(self.path(name)).exists() else None

    # Detection ---------------------------------------------------------------------------------------------------

    def cut_mosaic(self, band: str) -> Spec:
        """Mosaic, target and size."""
        b = self.config.bands[band]
        return {
            "mosaic": self._file(self.path(b.mosaic or "")),
            "weight": self._file(self.path(b.weight["file"])) if b.weight else None,
            "target": asdict(self.config.target),
            "size_arcsec": b.cutout_size,
        }

    def detect_sources(self) -> Spec:
        """Images, bad regions and weights of the detection bands, and the detection section."""
        detection = asdict(self.config.detection)
        del detection["merge_regions"], detection["manual_regions"]
        bands = [self.config.bands[name] for name in self.config.detection.bands]
        return {
            "detection": detection,
            "images": {b.name: self._image_file(b) for b in bands},
            "bad_regions": {b.name: self._regions(self.bad_regions(b)) for b in bands},
        }

    def edit_segments(self) -> Spec:
        """Return the two region files that edit the segmentation."""
        detection = self.config.detection
        flux_band = self.config.bands[detection.flux_band]
        return {
            "merge_regions": self._regions(detection.merge_regions),
            "manual_regions": self._regions(detection.manual_regions),
            "flux_image": self._image_file(flux_band),
            "bad_regions": self._regions(self.bad_regions(flux_band)),
        }

    def prepare_fit_psf(self) -> Spec:
        """Return the PSF of the stack: that of a band, or a file."""
        models = self.config.models
        image = self._grid_file(self.config.bands[self.config.detection.flux_band])
        if models.psf in self.config.bands:
            band = self.config.bands[models.psf]
            return {**self._psf(band), "image": image}
        psf = {"psf": self._file(self.path(models.psf)), "oversampling": 1.0, "kind": models.psf_kind}
        return {**psf, "name": "models.psf", "image": image}

    def _psf(self, band: Band) -> Spec:
        return {
            "name": band.name,
            "psf": self._file(self.path(band.psf or "")),
            "oversampling": band.psf_oversampling,
            "kind": band.psf_kind,
        }

    def group_sources(self) -> Spec:
        """Return the regions that the fits ignore, and whom the user wants fitted alone or together."""
        texts = {int(p.stem): (p.read_text(), str(p)) for p in self.override_files() if p.stem.isdigit()}
        return {"bad_regions": self._regions(self.config.models.bad_regions), "wishes": requested_groups(texts)}

    def override_files(self) -> list[Path]:
        """Return the user's override files."""
        return sorted(Path(self.path(self.config.models.overrides_dir)).glob("*.dat"))

    # Models ------------------------------------------------------------------------------------------------------

    def _grouping(self) -> Spec:
        """groups.json, read anew when the checkpoint has run again."""
        # A plan asks some ten times for every group: a path is not put together anew each time.
        path = self._groups_path
        stat = os.stat(path)
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._grouping_kept[0] != version:
            self._grouping_kept = (version, read_json(path))
            self._first_keys, self._user_files = {}, {}
            self._batches = assign_batches(list(self._grouping_kept[1]["groups"]), self.config.models.batch_size)
            self._batch_of = {group: name for name, groups in self._batches.items() for group in groups}
        return self._grouping_kept[1]

    @property
    def groups(self) -> Mapping[str, Spec]:
        """The fit groups by the ID of their main source; only after the checkpoint `group_sources`."""
        return self._grouping()["groups"]

    @property
    def batches(self) -> Mapping[str, list[str]]:
        """The fit groups of each batch."""
        self._grouping()
        return self._batches

    @property
    def _common_fit_key(self) -> str:
        settings = {"gain": self.config.models.gain, "timeout": self.config.models.timeout}
        code = self.provenance.code("fit_first_pass", TEMPLATES, SUBTRACTION)
        return digest_of([self._grouping()["psf"], settings, code])

    def user_files(self, group: str) -> Spec:
        """Return the user's overrides and custom models of a group's members, by ID."""
        grouping = self._grouping()
        if group not in self._user_files:
            models, found = self.config.models, {}
            for member in grouping["groups"][group]["members"]:
                override = self.path(f"{models.overrides_dir}/{member}.dat")
                custom = self.path(f"{models.custom_dir}/{member}.fits")
                kinds = {"override": self._file(override), "custom": self._file(custom)}
                given = {kind: file for kind, file in kinds.items() if file["digest"] is not None}
                if given:
                    found[str(member)] = given
            self._user_files[group] = found
        return self._user_files[group]

    def first_key(self, group: str) -> str:
        """Return the digest of all that the first pass of a group depends on."""
        grouping = self._grouping()
        if group not in self._first_keys:
            files = {i: {k: f["digest"] for k, f in kinds.items()} for i, kinds in self.user_files(group).items()}
            key = [self._common_fit_key, grouping["groups"][group]["digest"], files]
            # A fit lives on pixels; only a user's model is placed by the sky, as a template.
            if any("custom" in kinds for kinds in files.values()):
                key += [grouping["grid"], self.provenance.code(SUBTRACTION)]
            self._first_keys[group] = digest_of(key)
        return self._first_keys[group]

    def second_key(self, group: str) -> str:
        """Return the digest of all that the second pass of a group depends on: its neighbours' first pass too."""
        neighbours = sorted(self.groups[group]["neighbours"])
        keys = [self.first_key(group), *(self.first_key(str(n)) for n in neighbours)]
        smoothing = self._grouping().get("smoothing", 0.0)
        return digest_of([*keys, smoothing, self.provenance.code("fit_second_pass", TEMPLATES, SUBTRACTION, RENDERING)])

    @property
    def _drawing(self) -> str:
        """Digest of what the drawing of a model depends on besides its fit."""
        settings = [self._grouping()["grid"], self.config.models.oversampling]
        return digest_of([settings, self.provenance.code("unblend/fits/model_image")])

    def render_key(self, group: str) -> str:
        """Return the digest of all that the rendered models of a group depend on."""
        return digest_of([self.second_key(group), self._drawing])

    def _fit_job(self, batch: str, key: str) -> Spec:
        groups = {
            group: {"key": getattr(self, key)(group), "user_files": self.user_files(group)}
            for group in self.batches[batch]
        }
        return {"groups": groups, "gain": self.config.models.gain, "timeout_s": self.config.models.timeout}

    def fit_first_pass(self, batch: str) -> Spec:
        """Return the groups of a batch with their keys."""
        path = self.results / f"imfit/batches/first-{batch}.json"
        done = [f"imfit/{group}/first.json" for group in read_json(path)] if path.exists() else []
        return {**self._fit_job(batch, "first_key"), "makes": done}

    def fit_second_pass(self, batch: str) -> Spec:
        """Return the groups of a batch with their keys; what the drawings of their models depend on besides."""
        near = {str(n) for group in self.batches[batch] for n in self.groups[group]["neighbours"]}
        files = {i: kinds for group in sorted(near, key=int) for i, kinds in self.user_files(group).items()}
        done = [f"imfit/{group}/fit.json" for group in self.batches[batch]]
        done += [f"imfit/models/{i}.fits" for group in self.batches[batch] for i in self.groups[group]["members"]]
        finished = (self.results / f"imfit/batches/second-{batch}.json").exists()
        spec = {**self._fit_job(batch, "second_key"), "neighbour_files": files, "drawing": self._drawing}
        return {**spec, "oversampling": self.config.models.oversampling, "makes": done if finished else []}

    def second_pass_needs(self, batch: str) -> list[str]:
        """Return the batches whose first pass the second pass of `batch` needs."""
        near = {str(n) for group in self.batches[batch] for n in self.groups[group]["neighbours"]}
        wanted = {self._batch_of[group] for group in near}
        return sorted(wanted | {batch}, key=int)

    def collect_models(self) -> Spec:
        """Return the groups and their models' keys; which models are the user's."""
        users = [i for group in self.groups for i, kinds in self.user_files(group).items() if "custom" in kinds]
        return {
            "groups": {group: self.render_key(group) for group in self.groups},
            "custom": sorted(map(int, users)),
            "catalogue": self.provenance.content(str(self.results / "det_cat.fits")),
        }

    def draw_fits(self) -> Spec:
        """Return the digest of the code that draws; a picture that is gone is drawn again."""
        finished = all((self.results / "imfit" / name).exists() for name in ("groups.json", "sheet.html"))
        made = [f"imfit/{group}/fit.png" for group in self.groups] if finished else []
        return {"drawing": self.provenance.code("unblend/report/fit_pictures"), "makes": made}

    def subtract_models(self) -> Spec:
        """Return the gain; of each group with a user's model, the key of the pixels to which that is scaled."""
        groups = [group for group in self.groups if any("custom" in kinds for kinds in self.user_files(group).values())]
        return {"gain": self.config.models.gain, "scaled": {group: self.first_key(group) for group in groups}}

    # Bands -------------------------------------------------------------------------------------------------------

    def mask_band(self, band: str) -> Spec:
        """Image, weight, border and bad regions."""
        b = self.config.bands[band]
        return {
            "image": self._image_file(b),
            "weight": self._weight_file(b),
            "border_regions": self._regions(self.border_regions(b)),
            "bad_regions": self._regions(self.bad_regions(b)),
        }

    def subtract_background(self, band: str) -> Spec:
        """Image, the background section, the regions it ignores."""
        b = self.config.bands[band]
        if b.background is None:
            return {"image": self._grid_file(b), "background": None}
        mask_all = self._regions(b.mask_all_regions)
        return {"image": self._image_file(b), "background": b.background, "mask_all_regions": mask_all}

    def prepare_psf(self, band: str) -> Spec:
        """Return the band's PSF and how it is sampled."""
        b = self.config.bands[band]
        return {**self._psf(b), "image": self._grid_file(b)}

    def _scene(self, band: Band) -> Spec:
        """Return what every stage that solves for fluxes needs to know of a band."""
        return {
            "image": self._image_file(band),
            "weight": self._weight_file(band),
            "rms": band.rms,
            "shift": band.shift,
        }

    def measure_shift(self, band: str) -> Spec:
        """Return the band, its shift and the astrometry section."""
        b = self.config.bands[band]
        return {**self._scene(b), "band": band, "astrometry": b.astrometry}

    def make_templates(self, band: str) -> Spec:
        """Return the band's grid (its image) and its shift."""
        b = self.config.bands[band]
        return {"band": band, "image": self._grid_file(b), "shift": b.shift}

    def extract_fluxes(self, band: str) -> Spec:
        """Return the band's image, weight and rms."""
        return {**self._scene(self.config.bands[band]), "band": band}

    def run_monte_carlo(self, band: str) -> Spec:
        """Return the band's empty regions."""
        b = self.config.bands[band]
        regions = self.sim_regions(b)
        return {**self._scene(b), "band": band, "sim_regions": self._regions(regions) if regions else None}

    def inspect_band(self, band: str) -> Spec:
        """Return the band's image and weight, the target, and the names under which the proposals are to be saved."""
        b = self.config.bands[band]
        names = {
            "sim": b.sim_regions if b.sim_regions != "auto" else f"{band}-sim.reg",
            "border": b.border_regions or f"{band}-mask-border.reg",
            "bad": b.bad_regions or f"{band}-bad.reg",
        }
        names = {kind: self.path(str(name)) for kind, name in names.items()}
        files = {"image": self._image_file(b), "weight": self._weight_file(b)}
        return {"band": band, **files, "target": asdict(self.config.target), "names": names}

    # Results -----------------------------------------------------------------------------------------------------

    def write_catalogue(self) -> Spec:
        """Bands, zero points, filters, error floor."""
        bands = {
            b.name: {"zero_point_ab": b.zero_point, "filter": b.filter or b.name} for b in self.config.bands.values()
        }
        return {"bands": bands, "order": list(bands), "error_floor": self.config.error_floor}

    def write_report(self) -> Spec:
        """Bands with their images and wavelengths, the target; the page's own style and program."""
        parts = sorted((self.provenance.scripts / "unblend/report/page_files").glob("*.*"))
        return {
            "bands": {
                b.name: {"image": self.image(b), "wavelength_um": known_wavelength_um(b)}
                for b in self.config.bands.values()
            },
            "order": list(self.config.bands),
            "target": asdict(self.config.target),
            "page": {path.name: self.provenance.content(str(path)) for path in parts},
        }


def known_wavelength_um(band: Band) -> float | None:
    """Return a band's wavelength: what the configuration says, else what its filter or its name means."""
    names = [name for name in (band.filter, band.name) if name]
    return band.wavelength or next(filter(None, map(wavelength_um, names)), None)
