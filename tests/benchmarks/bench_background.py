"""The moving background against photutils and scipy: time and what is left of a known gradient.

`make bench-background`, or `python tests/benchmarks/bench_background.py --side 2000 --box 101`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from unblend.images.background import moving_background

SLOPE = 0.02
"""Noise sigmas per pixel along y; half of it, downwards, along x."""


def field(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image of noise on a plane with bright sources, the mask of these, and the plane."""
    y, x = np.indices((side, side))
    plane = SLOPE * y - 0.5 * SLOPE * x
    mask = np.zeros((side, side), dtype=bool)
    for _ in range(side * side // 4000):
        cy, cx, r = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(3, 15)
        y0, x0 = max(int(cy - r), 0), max(int(cx - r), 0)
        window = np.s_[y0 : int(cy + r) + 1, x0 : int(cx + r) + 1]
        mask[window] |= (y[window] - cy) ** 2 + (x[window] - cx) ** 2 < r**2
    return plane + rng.normal(size=plane.shape) + 100.0 * mask, mask, plane


def boxcar(image: np.ndarray, mask: np.ndarray, box: int) -> np.ndarray:
    """Return the plain moving mean of the unmasked pixels."""
    from scipy.ndimage import uniform_filter

    good = (~mask).astype(float)
    return uniform_filter(image * good, box) / np.maximum(uniform_filter(good, box), 1e-9)


def meshed(image: np.ndarray, mask: np.ndarray, box: int) -> np.ndarray:
    """Return photutils' background: clipped medians of a mesh, interpolated by splines."""
    from photutils.background import Background2D, MedianBackground

    made = Background2D(image, box, mask=mask, bkg_estimator=MedianBackground(), exclude_percentile=90.0)
    return np.asarray(made.background)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--box", type=int, default=101)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    image, mask, plane = field(asked.side, np.random.default_rng(asked.seed))
    ways: dict[str, Callable[[], np.ndarray]] = {
        "unblend, mean": lambda: moving_background(image, mask, box_pixels=asked.box)[0],
        "unblend, median": lambda: moving_background(image, mask, box_pixels=asked.box, statistic="median")[0],
        "scipy uniform_filter of the unmasked": lambda: boxcar(image, mask, asked.box),
        "photutils Background2D, median": lambda: meshed(image, mask, asked.box),
    }
    edge = np.ones(image.shape, dtype=bool)
    edge[asked.box // 2 : -(asked.box // 2), asked.box // 2 : -(asked.box // 2)] = False
    masked = 100 * mask.mean()
    print(f"{asked.side} x {asked.side} pixels, box {asked.box}, {masked:.0f} % masked; in sigmas of a pixel")
    print(f"{'':38s} CPU s   rms inside   rms within half a box of the edge   worst")
    for name, way in ways.items():
        began = time.process_time()
        left = way() - plane
        spent = time.process_time() - began
        inside, beside = (float(np.sqrt(np.mean(left[part] ** 2))) for part in (~edge, edge))
        print(f"{name:38s} {spent:5.1f}   {inside:10.4f}   {beside:34.4f}   {np.abs(left).max():5.2f}")


if __name__ == "__main__":
    main()
