"""The figures of docs/adjusting.md: a fit before and after an override, and the reduced chi2 of all fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..core.flags import Flag
from .plots import stretch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SIGMA = 8.0
"""Largest absolute value of residual / error that is shown."""
COUNTED_FLAGS = (Flag.FIT_RETRIED, Flag.FIT_REPLACED, Flag.FIT_ON_BOUND, Flag.FIT_POOR_CHI2, Flag.CENTRE_ASTRAY)


def before_and_after(
    data: np.ndarray, error: np.ndarray, mask: np.ndarray, models: Mapping[str, np.ndarray], segment: np.ndarray
) -> Figure:
    """Return a figure with a row of data, model and residual for each model of a cutout.

    Parameters
    ----------
    data, error : arrays (ny, nx)
        Image and its noise.
    mask : bool array (ny, nx)
        True where masked: shown in grey.
    models : mapping of title to array (ny, nx)
        Models including the sky.
    segment : bool array (ny, nx)
        True on the source's own pixels, which are outlined.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.12 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), 3, squeeze=False)
    sigma = float(np.median(error[~mask]))
    for row, (title, model) in zip(axes, models.items(), strict=True):
        residual = np.where(mask, np.nan, (data - model) / error)
        for panel, image, name in zip(row, (data, model), ("data", f"model: {title}"), strict=False):
            panel.imshow(1.0 - np.nan_to_num(stretch(image, sigma)), cmap="gray", vmin=0, vmax=1, origin="lower")
            panel.set_title(name, fontsize=9)
        shown = row[2].imshow(residual, cmap="RdBu_r", vmin=-MAX_SIGMA, vmax=MAX_SIGMA, origin="lower")
        row[2].set_facecolor("0.85")
        own = (segment & ~mask).astype(bool)
        chi2 = float(np.mean(residual[own] ** 2))
        row[2].set_title(f"residual / error; reduced chi2 {chi2:.2f}", fontsize=9)
        row[2].contour(segment, levels=[0.5], colors="0.3", linewidths=0.6)
        for panel in row:
            panel.set_xticks([])
            panel.set_yticks([])
        figure.colorbar(shown, ax=row[2], shrink=0.85)
    return figure


def chi2_figure(chi2: np.ndarray, flags: np.ndarray, limit: float) -> Figure:
    """Return a histogram of the reduced chi2 over the segments of the sources; the last bin includes all above 1.6.

    Parameters
    ----------
    chi2 : array (n,)
        One value per source, NaN where there is no fit.
    flags : int array (n,)
        Flags of the fits.
    limit : float
        Reduced chi2 above which a fit is flagged as poor.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.8), layout="constrained")
    axes = figure.subplots()
    edges = np.arange(0.6, 1.6501, 0.05)
    known = np.isfinite(chi2)
    point = (flags & Flag.POINT_SOURCE) != 0
    parts = [np.clip(chi2[known & chosen], edges[0], edges[-1] - 0.01) for chosen in (~point, point)]
    axes.hist(parts, bins=list(edges), stacked=True, color=["#5b8db8", "#e0a030"], label=["galaxies", "points"])
    axes.axvline(limit, color="0.3", ls="--", lw=1.0)
    axes.annotate(
        "poor", (limit, 0.9), (4, 0), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=9
    )
    axes.set_xlabel("reduced chi2 over the source's segment (last bin: all above 1.6)")
    axes.set_ylabel("sources")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return figure


def summary(chi2: np.ndarray, flags: np.ndarray) -> str:
    """Return a sentence with the number of fits with each flag, and the percentiles of the reduced chi2."""
    low, middle, high = np.nanpercentile(chi2, [16, 50, 84])
    counts = ", ".join(f"{(flag.name or '').lower()} {int(np.count_nonzero(flags & flag))}" for flag in COUNTED_FLAGS)
    return f"{flags.size} sources: {counts}; reduced chi2 {middle:.2f} (16 to 84 %: {low:.2f} to {high:.2f})"
