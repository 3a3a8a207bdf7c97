"""The memory and time that jobs ask for, from the pixels and sources they work on.

The coefficients are measured: docs/performance.md says how, and `tests/benchmarks/bench_memory.py` measures them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..core.errors import UnblendError
from ..core.large_field import MOST_DETECTION_PIXELS
from ..core.strips import MOST_PIXELS
from ..field.page_size import needs_files
from .batches import GROUPS_PER_BATCH
from .config import Band
from .jobs import Jobs
from .tiles import BandTile

Known = TypeVar("Known")

SNAKEMAKE_MB = 150
"""On a cluster, the processes of Snakemake that start a job belong to the job."""
SPARE = 1.3
"""What a job asks for in units of what it is expected to need."""
PROCESSES = 4
"""Processes of one thread each in a job that divides its sources among several: fits, and stages of a large field."""
CROWDED = 2.0
"""Density of the sources in a tile over the mean of its band, at most."""
STEP_MB = 50
"""Requests are multiples of this, so that a few more sources change no request."""
ARCSEC_PER_PIXEL = 0.06
"""Pixel size of a mosaic from which nothing has been cut out yet: a guess, used only for plans."""
PIXELS_PER_SOURCE = 5000
"""Pixels of the detection image per source, until the sources are detected: 200 sources per square arcminute in pixels
of 0.06 arcsec."""


@dataclass(frozen=True)
class Cost:
    """What a job of a rule needs.

    Parameters
    ----------
    mb : float
        Memory of Python, the libraries and a very small field, MB.
    band, stack, detection, all_bands : float
        What every 10⁶ pixels add to it, MB: of the image of the band, of the stack, of the images of the detection
        bands together, of the images of all bands together.
    sources : float
        What every 1000 sources add to it, MB.
    process : float
        What each process of a job with several adds to it, MB.
    minutes : float
        Time limit of a small field.
    minutes_per_megapixel, minutes_per_kilosource : float
        What every 10⁶ pixels of the largest of these images and every 1000 sources add to it.
    """

    mb: float
    band: float = 0.0
    stack: float = 0.0
    detection: float = 0.0
    all_bands: float = 0.0
    sources: float = 0.0
    process: float = 0.0
    minutes: float = 10.0
    minutes_per_megapixel: float = 0.5
    minutes_per_kilosource: float = 0.0


COSTS = {
    "make_example_field": Cost(700.0),
    "cut_mosaic": Cost(150.0, band=40.0, minutes=30.0),
    "detect_sources": Cost(350.0, stack=65.0, detection=55.0, minutes=30.0, minutes_per_megapixel=2.0),
    "edit_segments": Cost(130.0, stack=65.0),
    "prepare_fit_psf": Cost(120.0, stack=80.0),
    "group_sources": Cost(200.0, stack=60.0),
    "fit_first_pass": Cost(150.0, process=200.0, minutes=120.0),
    "fit_second_pass": Cost(150.0, process=350.0, minutes=120.0),
    "collect_models": Cost(120.0, stack=12.0, sources=30.0),
    "subtract_models": Cost(200.0, stack=2.0, minutes_per_kilosource=5.0),
    "draw_fits": Cost(120.0, minutes_per_kilosource=5.0),
    "mask_band": Cost(120.0, band=80.0),
    "prepare_psf": Cost(120.0, band=80.0),
    "subtract_background": Cost(420.0, band=80.0, minutes_per_megapixel=1.0),
    "measure_shift": Cost(300.0, band=85.0, sources=100.0, minutes_per_kilosource=20.0),
    "make_templates": Cost(350.0, band=10.0, sources=200.0, minutes_per_kilosource=5.0),
    "extract_fluxes": Cost(300.0, band=95.0, sources=200.0, minutes_per_megapixel=1.0, minutes_per_kilosource=20.0),
    "run_monte_carlo": Cost(120.0, band=85.0, stack=5.0, sources=100.0, minutes_per_kilosource=10.0),
    "join_masks": Cost(150.0),
    "join_offsets": Cost(150.0),
    "join_tiles": Cost(250.0, sources=100.0, minutes_per_kilosource=2.0),
    "inspect_band": Cost(110.0, band=95.0, stack=12.0, sources=50.0),
    "write_catalogue": Cost(120.0, sources=50.0),
    "write_covariance": Cost(120.0, sources=100.0),
    "compare_positions": Cost(120.0),
    "write_report": Cost(130.0, all_bands=60.0, sources=200.0, minutes_per_kilosource=5.0),
}
LARGE_REPORT = Cost(300.0, sources=6.0, minutes=30.0, minutes_per_megapixel=1.0, minutes_per_kilosource=1.0)
"""Of a report whose pixels and numbers are in files beside the page: images are read in strips."""
LARGE_DETECTION = {
    "detect_sources": Cost(700.0, stack=2.0, detection=0.5, process=80.0, minutes=60.0, minutes_per_megapixel=2.0),
    "edit_segments": Cost(450.0, stack=2.0, minutes=30.0),
    "group_sources": Cost(450.0, stack=1.0, process=80.0, minutes=30.0, minutes_per_kilosource=1.0),
}
"""Of images of more than `core.strips.MOST_PIXELS`, which are worked on in strips and measured from some pixels."""
WITHOUT_STARS = Cost(120.0)
"""Cost of the rules that prepare a PSF, unless it is built from the stars of an image."""
WITHOUT_BACKGROUND = Cost(120.0, band=15.0)
"""Cost of the rule `subtract_background` for a band without a moving background."""


class Requests:
    """What the jobs of a field ask for.

    Parameters
    ----------
    jobs : Jobs
        The jobs of the field.
    """

    def __init__(self, jobs: Jobs):
        self.jobs = jobs

    def memory_mb(self, rule: str, band: str | None = None, *, attempt: int = 1, processes: int = 1) -> int:
        """Return the memory of a job in MB, twice as much in each further attempt.

        Parameters
        ----------
        rule : str
            Name of the rule.
        band : str or None
            The band of the job, if it has one.
        attempt : int
            1, or more where the job was tried before.
        processes : int
            Number of processes that work side by side in the job.
        """
        cost = self._cost(rule, band)
        needed = cost.mb + cost.process * processes + cost.sources * self._kilosources(rule, band)
        needed += sum(getattr(cost, kind) * pixels for kind, pixels in self._megapixels(band).items())
        needed = SPARE * needed + SNAKEMAKE_MB
        return STEP_MB * math.ceil(needed * 2 ** (attempt - 1) / STEP_MB)

    def processes_of_detection(self) -> int:
        """Return the number of processes of a job of the detection: several where the image is large."""
        return PROCESSES if 1e6 * self._megapixels(None)["stack"] > MOST_DETECTION_PIXELS else 1

    def runtime_minutes(self, rule: str, band: str | None = None, *, attempt: int = 1) -> int:
        """Return the time limit of a job in minutes, twice as long in each further attempt.

        Parameters
        ----------
        rule : str
        band : str, optional
            Of a rule that runs once for each band.
        attempt : int
            From 1.
        """
        cost = self._cost(rule, band)
        pixels = max(n for kind, n in self._megapixels(band).items() if kind == "stack" or getattr(cost, kind))
        needed = cost.minutes + cost.minutes_per_megapixel * pixels
        needed += cost.minutes_per_kilosource * self._kilosources(rule, band)
        return math.ceil(needed * 2 ** (attempt - 1))

    def _cost(self, rule: str, band: str | None) -> Cost:
        """Return what jobs of a rule need: in some rules a setting of the band decides whether pixels are read."""
        bands = self.jobs.bands
        name = self.jobs.config.models.psf if rule == "prepare_fit_psf" else band or ""
        settings = bands.get(name)
        from_stars = settings and settings.has_star_psf and not isinstance(settings, BandTile)
        if rule in ("prepare_psf", "prepare_fit_psf") and not from_stars:
            return WITHOUT_STARS
        if rule in LARGE_DETECTION and 1e6 * self._megapixels(None)["stack"] > MOST_PIXELS:
            return LARGE_DETECTION[rule]
        if rule == "write_report":
            pixels = self._megapixels(None)
            if needs_files(1e3 * self._kilosources(rule, None), pixels["stack"] + pixels["all_bands"]):
                return LARGE_REPORT
        if rule == "subtract_background" and not (settings and settings.moving_background):
            return WITHOUT_BACKGROUND
        return COSTS[rule]

    def _megapixels(self, band: str | None) -> dict[str, float]:
        """Return how many pixels the images have that jobs may work on, in units of 10⁶."""
        bands, detection = self.jobs.config.bands, self.jobs.config.detection
        size = {name: 1e-6 * self._pixels(each) for name, each in bands.items()}
        return {
            "band": 0.0 if band is None else 1e-6 * self._pixels(self.jobs.bands[band]),
            "stack": size[detection.flux_band],
            "detection": sum(size[name] for name in detection.bands),
            "all_bands": sum(size.values()),
        }

    def _kilosources(self, rule: str, band: str | None) -> float:
        """Return the number of sources of a job in thousands, estimated until they are detected."""
        detected = _known(self.jobs.provenance.rows, str(self.jobs.results / "det_cat.fits"))
        stack = self.jobs.config.bands[self.jobs.config.detection.flux_band]
        number = self._pixels(stack) / PIXELS_PER_SOURCE if detected is None else detected
        settings = None if band is None else self.jobs.bands[band]
        if isinstance(settings, BandTile):
            number *= min(1.0, CROWDED * self._pixels(settings) / max(self._pixels(settings.whole), 1.0))
        return 1e-3 * (min(number, GROUPS_PER_BATCH) if rule.startswith("fit_") else number)

    def _pixels(self, band: Band) -> float:
        if isinstance(band, BandTile):
            return float(math.prod(band.tile.window.shape))
        shape = _known(self.jobs.provenance.shape, self.jobs.inputs.image(band))
        if shape is None:
            return ((band.cutout_size or 0.0) / ARCSEC_PER_PIXEL) ** 2
        return float(math.prod(shape))


def _known(read: Callable[[str], Known | None], path: str) -> Known | None:
    """Return what is read from a file; None where it is missing or damaged, of which the job that needs it will say."""
    try:
        return read(path)
    except (UnblendError, OSError, LookupError, ValueError):
        return None
