"""The state of a field, read from its products, which are not changed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.counts import count
from ..field.failed_band import reason_in
from ..field.stale_products import FOLDER as STALE_FOLDER
from ..field.stored_fits import PASSES, first_pass_limits, key_with_limits, read_stamp
from ..io.catalogues import TABLES, read_catalogue
from ..io.files import read_json
from ..io.tables import read_table, read_table_header
from ..plan.jobs import Jobs
from ..report.run_warnings import read_warnings, warnings_of
from .progress import RunState, common_flags, duration, flag_counts, status

if TYPE_CHECKING:
    import numpy as np

WARNINGS_SHOWN = 3
"""Number of warnings that the last lines of a run show."""
RUN_FILE = "logs/run.json"
"""Written by a run with its state and progress, and read by `./unblend progress`."""
MAX_SILENCE_S = 60.0
"""A run updates that file every few seconds; one that has not done so for this long was probably killed."""


@dataclass(frozen=True)
class FitState:
    """The state of the fits of a field.

    Parameters
    ----------
    sources, groups : int
        Numbers of sources and of fit groups.
    first, second : int
        Groups with a first or second pass that is valid with the current settings and files.
    flags : tuple of int
        Flags of all sources with a valid second pass.
    """

    sources: int
    groups: int
    first: int
    second: int
    flags: tuple[int, ...]


def missing_fits(jobs: Jobs, which: str) -> list[str]:
    """Return the groups that are to be fitted in a pass, without those that have nothing to fit.

    Parameters
    ----------
    jobs : Jobs
    which : {"first", "second"}
        The pass.
    """
    return [group for group in jobs.fits.groups if not _is_done(jobs, which, group) and not all_custom(jobs, group)]


def _is_done(jobs: Jobs, which: str, group: str) -> bool:
    """Return whether the stored fit of a group is valid, with the first passes on which its second pass depends."""
    folder, timeout_s = jobs.results / "imfit", jobs.config.models.timeout
    key = jobs.fits.of_pass(which, group)
    if which == "second":
        needed = [group, *map(str, jobs.fits.groups[group]["neighbours"])]
        limits = first_pass_limits(folder, needed)
        if any(limit < timeout_s for limit in limits.values()):
            return False
        key = key_with_limits(key, limits)
    stamp = read_stamp(folder / group / PASSES[which])
    return stamp is not None and stamp.holds(key, timeout_s)


def all_custom(jobs: Jobs, group: str) -> bool:
    """Return whether the user gives the models of all members of a group, so that there is nothing to fit."""
    files = jobs.fits.user_files(group)
    return all("custom" in files.get(str(i), {}) for i in jobs.fits.groups[group]["members"])


def fit_state(jobs: Jobs) -> FitState | None:
    """Return the state of the fits; None before the sources are detected and grouped."""
    if not (jobs.results / "imfit/groups.json").exists():
        return None
    first, second = (set(missing_fits(jobs, which)) for which in PASSES)
    done = [group for group in jobs.fits.groups if group not in second]
    flags = [flag for group in done for flag in fit_flags(jobs.results, group)]
    sources = sum(len(group["members"]) for group in jobs.fits.groups.values())
    total = len(jobs.fits.groups)
    return FitState(sources, total, total - len(first), total - len(second), tuple(flags))


def fit_flags(results: Path, group: str) -> list[int]:
    """Return the flags of the members of a group after its second pass."""
    try:
        return [member["flags"] for member in read_json(results / "imfit" / group / PASSES["second"])["fit"]["members"]]
    except (OSError, ValueError):
        return []


def warnings_in(paths: Iterable[Path]) -> dict[str, int]:
    """Return the number of warnings in each log that has any."""
    return {str(path): len(found) for path in paths if (found := warnings_of(path))}


def list_results(results: Path, bands: Collection[str] | None = None) -> dict[str, str]:
    """Return the existing results by name, from the detection to the report, and the warnings.

    Parameters
    ----------
    results : Path
        Folder of the products.
    bands : collection of str, optional
        The bands of the field: warnings about others, from earlier runs, are left out.
    """
    rows = {"detection": _detection(results / "det_auto_cat.fits")}
    catalogue, report, sheet = results / "catalogue.fits", results / "report/index.html", results / "imfit/sheet.html"
    if catalogue.exists():
        table = read_catalogue(catalogue)
        number = read_table_header(catalogue).get(TABLES, 1)
        rows["catalogue"] = f"{catalogue}: {count(len(table), 'source')}" + (
            f", the bands in {number} extensions (FITS allows 999 columns in one; catalogue.ecsv has all in one table)"
            if number != 1
            else ""
        )
        columns = [name for name in table.dtype.names or () if name == "flag" or name.startswith("flag_")]
        rows["flags"] = common_flags([reduce(or_, (int(row[name]) for name in columns), 0) for row in table])
        measured = [name.removeprefix("flag_") for name in columns if name != "flag"]
        without = [band for band in measured if not _has_flux(table, band)]
        rows["no flux"] = "\n    ".join(_reason(results, band) for band in without)
        rows["own"] = _band_only_sources(results, measured)
        rows["shifts"] = "\n    ".join(_shifts(results, [band for band in measured if band not in without]))
    if report.exists():
        rows["report"] = str(report)
    if sheet.exists() and (results / "imfit/sersic.fits").exists():
        problems = flag_counts([int(value) for value in read_table(results / "imfit/sersic.fits")["flag"]])
        rows["fits"] = f"{sheet}{': ' if problems else ''}{problems}"
    if (results / STALE_FOLDER).exists():
        rows["stale"] = f"{results / STALE_FOLDER}: products of sources and bands that are gone"
    rows["warnings"] = _warnings(results, bands)
    return {name: text for name, text in rows.items() if text}


def _reason(results: Path, band: str) -> str:
    """Return a band without any flux, with the reason where its fluxes give one."""
    path = results / "bands" / band / "fluxes.fits"
    reason = reason_in(read_table_header(path)) if path.exists() else None
    return f"{band}: {reason}" if reason else band


def _warnings(results: Path, bands: Collection[str] | None) -> str:
    """Return the number of warnings, the logs that have them, and the most urgent ones; empty if there are none."""
    found = read_warnings(results, bands)
    if not found:
        return ""
    where = ", ".join(sorted({log for warning in found for log in warning.logs}))
    more = ", all in the report" if len(found) > WARNINGS_SHOWN else ""
    head = f"{sum(warning.number for warning in found)}{more}, in {results / 'logs'}: {where}"
    return "\n    ".join([head, *(warning.sentence for warning in found[:WARNINGS_SHOWN])])


def _detection(catalogue: Path) -> str:
    """Return what was detected, and how many candidates were dropped for which reason; empty before the detection."""
    if not catalogue.exists():
        return ""
    header = read_table_header(catalogue)
    small, faint, hidden = (int(header.get(name) or 0) for name in ("NSMALL", "NFAINT", "NHIDDEN"))  # type: ignore[call-overload]
    parts = [f"{faint} candidates below min_snr and {small} below min_area dropped"] if faint or small else []
    if hidden:
        parts.append(f"{count(hidden, 'source')} found beside brighter ones (det_hidden.reg)")
    return "; ".join(parts)


def _has_flux(table: np.ndarray, band: str) -> bool:
    """Return whether any source of the catalogue has a flux in a band."""
    name = f"flux_{band}"
    return name not in (table.dtype.names or ()) or bool((table[name] == table[name]).any())


def _band_only_sources(results: Path, bands: Iterable[str]) -> str:
    """Return how many sources only one band shows, for each band that has any; empty without any."""
    found = {}
    for band in bands:
        try:
            found[band] = int(read_table_header(results / "bands" / band / "fluxes.fits").get("NOWN") or 0)  # type: ignore[call-overload]
        except (OSError, ValueError):
            continue
    listed = ", ".join(f"{count(number, 'source')} only in {band}" for band, number in found.items() if number)
    return f"{listed}, fitted as points (band_only.fits)" if listed else ""


def _shifts(results: Path, bands: Iterable[str]) -> list[str]:
    """Return a line for each band that is shifted, was searched, or should be shifted; arcsec along image X, Y."""
    lines = []
    for band in bands:
        try:
            found = read_json(results / "bands" / band / "astrometry.json")
        except (OSError, ValueError):
            continue
        parts = []
        if found.get("grid"):
            parts.append("best shift: {:.4f} {:.4f}".format(*found["grid"]["best_shift_arcsec"]))
        adopted = found.get("shift_arcsec") or (0.0, 0.0)
        if parts or any(adopted):
            parts.append("adopted {:.4f} {:.4f}".format(*adopted))
        said = [text for text in (found.get("message"), found.get("recommendation")) if text]
        parts += [text.removeprefix(f"bands.{band}: ") for text in said]  # the line begins with the band
        lines += [f"{band}: {'; '.join(parts)}"] if parts else []
    return lines


def run_file(results: Path) -> dict[str, Any] | None:
    """Return the run file of the last run; None if there was no run."""
    try:
        return read_json(results / RUN_FILE)
    except (OSError, ValueError):
        return None


def is_running(results: Path) -> bool:
    """Return whether a run is in progress: its run file says so and was updated recently."""
    last = run_file(results)
    return last is not None and last["state"] == "running" and time.time() - last["updated"] < MAX_SILENCE_S


def describe_field(jobs: Jobs) -> list[str]:
    """Return lines of text about the fits and about the last run."""
    state, last = fit_state(jobs), run_file(jobs.results)
    lines = ["fits   the sources are not yet detected and grouped"]
    if state is not None:
        problems = flag_counts(state.flags)
        lines = [
            f"fits   {count(state.sources, 'source')} in {count(state.groups, 'group')}: first pass {state.first} of "
            f"{state.groups}, second {state.second} of {state.groups}" + (f"; {problems}" if problems else "")
        ]
    if last is None:
        return [*lines, "run    none so far"]
    run_state = RunState(**last["progress"])
    ends = {"done": "done in", "failed": "stopped after", "running": "no sign of life (killed?) after"}
    verb = "running for" if is_running(jobs.results) else ends[last["state"]]
    progress = status(run_state)
    lines.append(f"run    {verb} {duration(last['seconds'])}" + (f": {progress}" if progress else ""))
    return [*lines, *(f"       failed: {job}" for job in run_state.failed)]
