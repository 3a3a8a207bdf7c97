"""Table, figures and JSON of the accuracy benchmark."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import accuracy_results as results
import numpy as np
from accuracy_fields import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODE_TITLES = {"fits": "end to end", "true": "true models", "noise": "many draws of the noise"}
AXIS_TITLES = {
    "snr": "true flux / formal error",
    "neighbour": "distance to the nearest galaxy / FWHM",
    "n": "Sersic index",
}
COLOURS = {"hst": "#0072b2", "ground": "#009e73", "spitzer": "#d55e00"}
MARKS = {"met": "", "open": " ?", "missed": " ✗", "": ""}
FEW = 12
"""Sources of a bin below which its figures say nothing."""


def digest(content: list[object]) -> str:
    """Return the digest of what a field was drawn from."""
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def write(out: Path, rows: np.ndarray, shifts: list[dict], times: list[dict], known: dict[str, Scenario]) -> None:
    """Write accuracy.md, accuracy.json, the rows behind them, and the figures."""
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "accuracy-rows.npy", rows)
    counted = rows[rows["counted"]]
    lines, record = markdown(counted, len(rows), shifts, known)
    (out / "accuracy.md").write_text("\n".join(lines) + "\n")
    record |= {"shifts": shifts, "times": times}
    (out / "accuracy.json").write_text(json.dumps(record, indent=1) + "\n")
    for mode in present(rows, "mode"):
        draw_bins(counted[counted["mode"] == mode], mode, out / f"accuracy-{mode}.png")
    draw_pulls(
        counted[counted["mode"] != "true"] if "noise" in counted["mode"] else counted, out / "accuracy-pulls.png"
    )


def present(rows: np.ndarray, column: str) -> list[str]:
    """Return the values of a column in the order of their first row."""
    return list(dict.fromkeys(rows[column].tolist()))


def markdown(rows: np.ndarray, total: int, shifts: list[dict], known: dict[str, Scenario]) -> tuple[list[str], dict]:
    """Return the page and the same figures as a dictionary."""
    rng = np.random.default_rng(1)
    seeds = ", ".join(map(str, present(rows, "seed")))
    lines = [
        "# Tables of the accuracy benchmark\n",
        "`make bench-accuracy`, `make accuracy-figures`; what they mean stands in [accuracy.md](accuracy.md).\n",
        f"Seeds {seeds}: {len(rows)} fluxes, {total - len(rows)} more not counted (masked, cut or without model).",
        "± is the statistical error of a figure; ✗: outside its target by more than two of these, ?: by less.",
        "In brackets: fluxes above S/N 20.",
        "",
    ]
    record: dict[str, Any] = {"overall": [], "bins": []}
    head = "| | band | N | median bias, S/N > 20 | pull sigma | beyond 5 sigma | median pull |"
    lines += [head, "|---|---|---|---|---|---|---|"]
    for mode in present(rows, "mode"):
        for band in present(rows, "band"):
            part = rows[(rows["mode"] == mode) & (rows["band"] == band)]
            alone = part[part["undetected"] < results.UNDETECTED]
            lines.append(line(MODE_TITLES[mode], band, part, mode, record["overall"], rng, scenario="all"))
            if len(alone) < len(part):
                label = "– nothing undetected beside"
                lines.append(line(label, band, alone, mode, record["overall"], rng, scenario="all"))
    lines += ["", head.replace("| |", "| scenario |", 1), "|---|---|---|---|---|---|---|"]
    for mode in present(rows, "mode"):
        for scenario in present(rows, "scenario"):
            for band in present(rows, "band"):
                part = rows[(rows["mode"] == mode) & (rows["scenario"] == scenario) & (rows["band"] == band)]
                label = f"{scenario}, {MODE_TITLES[mode]}"
                if len(part):
                    lines.append(line(label, band, part, mode, record["overall"], rng, scenario=scenario))
    for mode in present(rows, "mode"):
        lines += binned(rows[rows["mode"] == mode], mode, record["bins"], rng)
    return lines + shift_lines(shifts), record


def line(
    label: str, band: str, rows: np.ndarray, mode: str, record: list, rng: np.random.Generator, **more: str
) -> str:
    """Return one line of a table and add it to the record."""
    found = results.summary(rows, mode, sigma_tolerance=results.TARGET_SIGMA, rng=rng)
    record.append({"label": label, "mode": mode, "band": band, **more, **as_dict(found)})
    cells = [label, band, str(found.number), f"{percent(found.bias)} ({found.bright})", plain(found.sigma)]
    return "| " + " | ".join([*cells, percent(found.far, "4.1f"), plain(found.median_pull)]) + " |"


def binned(rows: np.ndarray, mode: str, record: list, rng: np.random.Generator) -> list[str]:
    """Return the tables of one mode in bins."""
    bands, lines = present(rows, "band"), []
    for axis in results.AXES:
        lines += ["", f"{MODE_TITLES[mode]}, by {AXIS_TITLES[axis]}: N, pull sigma, median bias at S/N > 20", ""]
        lines += ["| | " + " | ".join(bands) + " |", "|---" * (len(bands) + 1) + "|"]
        cells: dict[str, list[str]] = {}
        for band in bands:
            for label, part in results.in_bins(rows[rows["band"] == band], axis):
                found = results.summary(part, mode, sigma_tolerance=results.TARGET_SIGMA_BIN, rng=rng)
                record.append({"axis": axis, "bin": label, "mode": mode, "band": band, **as_dict(found)})
                text = f"{found.number}: {plain(found.sigma)}, {percent(found.bias)}" if found.number >= FEW else "–"
                cells.setdefault(label, []).append(text)
        lines += [f"| {label} | " + " | ".join(texts) + " |" for label, texts in cells.items()]
    return lines


def shift_lines(shifts: list[dict]) -> list[str]:
    """Return the table of shifts: the error along X and Y in pixels of the band."""
    if not shifts:
        return []
    lines = ["", "Shift found − true, pixels of the band (± the workflow's own error)", ""]
    lines += ["| scenario | seed | | band | X | Y |", "|---|---|---|---|---|---|"]
    for shift in shifts:
        cells = []
        for off, error in zip(shift["off_pixels"], shift["error_pixels"], strict=True):
            figure = results.Figure(off, error, -results.TARGET_SHIFT_PIXELS, results.TARGET_SHIFT_PIXELS)
            cells.append(f"{off:+.3f} ± {error:.3f}{MARKS[figure.verdict]}")
        title = MODE_TITLES[shift["mode"]]
        lines.append(f"| {shift['scenario']} | {shift['seed']} | {title} | {shift['band']} | {' | '.join(cells)} |")
    return lines


def plain(figure: results.Figure) -> str:
    """Return `1.02 ± 0.03` and a mark where the target is not met."""
    return "–" if np.isnan(figure.value) else f"{figure.value:.2f} ± {figure.error:.2f}{MARKS[figure.verdict]}"


def percent(figure: results.Figure, form: str = "+.2f") -> str:
    """Return the same in per cent."""
    if np.isnan(figure.value):
        return "–"
    return f"{100 * figure.value:{form}} ± {100 * figure.error:{form.lstrip('+')}} %{MARKS[figure.verdict]}"


def as_dict(found: results.Summary) -> dict[str, Any]:
    """Return the figures for the JSON file, NaN as null."""
    made: dict[str, Any] = {"number": found.number, "bright": found.bright}
    for name in ("bias", "sigma", "far", "median_pull"):
        figure = getattr(found, name)
        values = [float(v) if np.isfinite(v) else None for v in (figure.value, figure.error)]
        made[name] = {"value": values[0], "error": values[1], "verdict": figure.verdict}
    return made


def draw_bins(rows: np.ndarray, mode: str, path: Path) -> None:
    """Draw median bias (top) and pull sigma (bottom) against S/N, neighbour distance and index, a colour per band."""
    from matplotlib.figure import Figure

    rng = np.random.default_rng(1)
    figure = Figure(figsize=(10.0, 5.6), layout="constrained")
    axes = figure.subplots(2, len(results.AXES), sharex="col", sharey="row")
    for column, axis in enumerate(results.AXES):
        labels: list[str] = []
        for k, band in enumerate(present(rows, "band")):
            bins = results.in_bins(rows[rows["band"] == band], axis)
            labels = [label for label, _ in bins]
            for x, (_, part) in enumerate(bins):
                if len(part) < FEW:
                    continue
                found = results.summary(part, mode, sigma_tolerance=results.TARGET_SIGMA_BIN, rng=rng)
                place, style = x + 0.16 * (k - 1), {"fmt": "o", "ms": 4, "lw": 1.2, "color": COLOURS[band]}
                axes[1, column].errorbar(place, found.sigma.value, found.sigma.error, **style)
                bias, error = 100 * found.bias.value, 100 * found.bias.error
                if found.bright >= 5:
                    axes[0, column].errorbar(place, bias, error, **style)
        axes[1, column].set_xticks(range(len(labels)), labels, fontsize=8)
        axes[1, column].set_xlabel(AXIS_TITLES[axis])
        shade(axes[0, column], 0.0, 100 * results.TARGET_BIAS[mode])
        shade(axes[1, column], 1.0, results.TARGET_SIGMA_BIN)
    for band in present(rows, "band"):
        axes[0, 0].plot([], [], "o", ms=4, color=COLOURS[band], label=band)
    axes[0, 0].legend(frameon=False, fontsize=9)
    axes[0, 0].set_ylabel("median bias at S/N > 20, %")
    axes[1, 0].set_ylabel("robust sigma of pulls")
    axes[0, 0].set_ylim(-4.0, 4.0)
    axes[1, 0].set_ylim(0.5, 1.7)
    figure.suptitle(f"{MODE_TITLES[mode].capitalize()}; grey: target", fontsize=11)
    figure.savefig(path, dpi=90)


def shade(axes: Axes, middle: float, half: float) -> None:
    """Mark the target."""
    axes.axhspan(middle - half, middle + half, color="0.88", zorder=0)
    axes.axhline(middle, color="0.4", lw=0.8, zorder=1)


def draw_pulls(rows: np.ndarray, path: Path) -> None:
    """Draw the histogram of pulls per mode and band over the unit Gaussian; the last bins hold the rest."""
    from matplotlib.figure import Figure

    modes, bands = present(rows, "mode"), present(rows, "band")
    figure = Figure(figsize=(10.0, 2.7 * len(modes)), layout="constrained")
    axes = figure.subplots(len(modes), len(bands), sharex=True, squeeze=False)
    x = np.linspace(-6, 6, 241)
    for i, mode in enumerate(modes):
        for j, band in enumerate(bands):
            part = rows[(rows["mode"] == mode) & (rows["band"] == band)]
            pull = (part["flux"] - part["true"]) / part["err"]
            edges = np.arange(-8.0, 8.01, 0.5)
            axes[i, j].hist(np.clip(pull, -7.99, 7.99), edges, color=COLOURS[band], alpha=0.55)
            axes[i, j].plot(x, len(part) * 0.5 * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi), "k", lw=1)
            axes[i, j].set_yscale("log")
            axes[i, j].set_ylim(0.5, 1.5 * max(len(part), 10))
            sigma, beyond = results.spread(pull), 100 * np.mean(np.abs(pull) > results.FAR_PULL)
            axes[i, j].set_title(f"{band}, {MODE_TITLES[mode]}", fontsize=10)
            note = f"σ = {sigma:.2f}\n{beyond:.1f} % beyond 5"
            axes[i, j].text(0.03, 0.96, note, transform=axes[i, j].transAxes, va="top", fontsize=9)
    for j in range(len(bands)):
        axes[-1, j].set_xlabel("(flux − truth) / error")
    for i in range(len(modes)):
        axes[i, 0].set_ylabel("sources")
    figure.savefig(path, dpi=90)
