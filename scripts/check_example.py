"""Compare the catalogue of the example field with the truth: bias and pulls per band, completeness.

`python scripts/check_example.py results/catalogue.fits example/truth.fits results/check_example.png`. The exit status
is 1 when less than 95 % of the galaxies above S/N 20 are matched.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from unblend.simulation.truth import BandCheck

COMPLETENESS_WANTED = 0.95


def main(catalogue: str, truth: str, out_png: str | None = None, *, reference: str = "f160w") -> bool:
    """Print the comparison, write the figure, and return whether enough galaxies were found."""
    from unblend.io.tables import read_table
    from unblend.simulation import truth as compare

    true, found = read_table(truth), read_table(catalogue)
    bands = compare.band_names(found.dtype.names or (), true.dtype.names or ())
    columns = ("ra", "dec", f"flux_{reference}")
    matched = compare.match_positions(tuple(true[c] for c in columns), tuple(found[c] for c in columns))  # type: ignore[arg-type]
    expected = compare.is_expected(true, reference)
    missed = true["id"][expected & (matched < 0)]
    completeness = 1.0 - len(missed) / max(int(expected.sum()), 1)
    print(
        f"{len(found)} measured sources, {int((matched >= 0).sum())} of {int(true['in_field'].sum())} true ones matched"
    )
    print(
        f"completeness above S/N 20 in {reference}: {100 * completeness:.1f} % of {int(expected.sum())} galaxies",
        end="",
    )
    print(f"; missed, by the truth's id: {', '.join(map(str, missed))}" if len(missed) else "")
    checks = [compare.check_band(true, found, matched, band) for band in bands]
    for check in checks:
        print("\n".join(compare.report_lines(check, true)))
    if out_png:
        _draw(checks, out_png)
    return completeness >= COMPLETENESS_WANTED


def _draw(checks: list[BandCheck], out_png: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from unblend.io.files import atomic_path

    width = max(len(checks), 1)
    figure, axes = plt.subplots(2, width, figsize=(3.4 * width, 6.4), squeeze=False, layout="constrained")
    for column, check in enumerate(checks):
        _draw_bias(axes[0, column], check)
        _draw_pulls(axes[1, column], check)
    axes[0, 0].set_ylabel("(flux − truth) / truth, %")
    axes[1, 0].set_ylabel("sources")
    with atomic_path(out_png) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _draw_bias(axes: Axes, check: BandCheck) -> None:
    """Deviation of every source and the median of each S/N bin."""
    axes.semilogx(check.snr, 100 * check.deviation, ".", color="0.6", ms=4)
    for low, high, part in check.bins:
        inside = (check.snr >= low) & (check.snr < high)
        if part.number > 1:
            x, y, err = float(np.median(check.snr[inside])), 100 * part.bias, 100 * part.bias_err
            axes.errorbar(x, y, err, fmt="o", color="C3", ms=5)
    axes.axhline(0.0, color="k", lw=0.8)
    axes.set_ylim(-30, 30)
    axes.set_title(check.band)
    axes.set_xlabel("true flux / error")


def _draw_pulls(axes: Axes, check: BandCheck) -> None:
    """Histogram of the pulls over the unit Gaussian; what is beyond 6 counts in the outer bins."""
    edges = np.linspace(-6, 6, 25).tolist()
    axes.hist(np.clip(check.pull, -5.99, 5.99), edges, color="0.75")
    x = np.linspace(-6, 6, 200)
    axes.plot(x, check.overall.number * 0.5 * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi), "C3")
    axes.set_title(f"σ = {check.overall.pull_sigma:.2f}, rms = {check.overall.pull_rms:.2f}", fontsize=10)
    axes.set_xlabel("(flux − truth) / error")


if __name__ == "__main__":
    from unblend.core.errors import UnblendError

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogue")
    parser.add_argument("truth")
    parser.add_argument("out_png", nargs="?")
    parser.add_argument("--reference", default="f160w", help="detection band of the S/N limit and of the match")
    arguments = parser.parse_args()
    try:
        enough = main(arguments.catalogue, arguments.truth, arguments.out_png, reference=arguments.reference)
    except UnblendError as error:
        sys.exit(f"check_example: {error}")
    sys.exit(0 if enough else 1)
