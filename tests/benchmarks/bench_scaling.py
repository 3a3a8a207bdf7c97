"""Processor time and memory of the stages of a band against the number of sources: `make bench-scaling`.

`python tests/benchmarks/bench_scaling.py --band irac 1000 2000 5000 10000 20000`

Each number of sources has a process of its own. The exponent is that of a power law between the smallest and the
largest number.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

CIRCLES = 100
BRIGHT = 50


def peak_mb() -> float:
    """Return the largest memory of this process since `forget_peak`, MB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024.0


def forget_peak() -> None:
    """Set the largest memory of this process back to the present one."""
    Path("/proc/self/clear_refs").write_text("5")


def measured(found: dict[str, tuple[float, float]], stage: str, work: Callable[[], Any]) -> Any:
    """Run a stage; note its processor time in s and its peak memory in MB."""
    forget_peak()
    began = time.process_time()
    result = work()
    found[stage] = (time.process_time() - began, peak_mb())
    return result


def measure(number: int, band: str) -> dict[str, tuple[float, float]]:
    """Return the processor time and peak memory of each stage."""
    from scaling_field import KINDS, scaling_field
    from threadpoolctl import threadpool_limits
    from unblend.models.templates import TemplateEngine
    from unblend.photometry.correlated_noise import correlated_errors, noise_matrix
    from unblend.photometry.detail_amplitude import DetailAmplitudes
    from unblend.photometry.flux_covariance import flux_covariance
    from unblend.photometry.flux_draws import noise_draws, shape_draws
    from unblend.photometry.linear_system import model_image, solve_fluxes
    from unblend.photometry.monte_carlo import monte_carlo
    from unblend.photometry.proposals import artefacts, border_sources
    from unblend.photometry.shape_errors import known_shapes, shape_responses
    from unblend.registration.offsets import linear_offsets

    found: dict[str, tuple[float, float]] = {}
    kind = KINDS[band]
    with threadpool_limits(1):
        field = measured(found, "field (drawing)", lambda: scaling_field(number, kind))
        image, weight, templates = field.image, field.weight, field.templates
        solution = measured(found, "solve", lambda: solve_fluxes(image, weight, templates))
        measured(found, "correlated errors", lambda: correlated_errors(solution, templates, weight, field.correlation))
        engine = TemplateEngine(field.wcs, image.shape, field.psf)
        shapes, fitted = known_shapes(field.shapes), DetailAmplitudes.as_in_stack(templates)
        responses = measured(found, "shape responses", lambda: shape_responses(
            engine, field.models, shapes, solution, fitted, weight))  # fmt: skip
        measured(found, "shape errors", lambda: responses.errors(solution))
        noise = noise_matrix(solution, templates, weight, field.correlation)
        of_shapes = (responses.matrix.T @ responses.matrix).tocsr()
        for name, matrix in (("covariance (noise)", noise), ("covariance (shapes)", of_shapes)):
            measured(found, name, partial(flux_covariance, solution.inverse, len(templates), matrix))
        rng = np.random.default_rng(3)
        measured(found, "noise draws", lambda: noise_draws(solution, noise, rng))
        measured(found, "shape draws", lambda: shape_draws(responses, solution))
        fwhm = kind.fwhm / kind.pixel
        places = np.random.default_rng(2).uniform(4 * fwhm, image.shape[0] - 4 * fwhm, (CIRCLES, 2))
        circles = [(float(y), float(x), 3.0 * fwhm) for y, x in places]
        nothing = np.zeros(image.shape, dtype=bool)
        measured(found, "Monte Carlo", lambda: monte_carlo(
            solution.residual, nothing, templates, solution, weight, circles, positions=field.positions))  # fmt: skip
        bright = np.argsort(-field.flux)[:BRIGHT]
        along_y, along_x = ([gradient(templates[k], axis) for k in bright] for axis in (0, 1))
        measured(
            found, "offsets", lambda: linear_offsets(image, weight, templates, along_y, along_x, field.correlation)
        )

        def proposals() -> None:
            model = model_image(templates, solution.flux, image.shape)
            border_sources(solution.residual, np.ones(image.shape), ~nothing, fwhm)
            artefacts(solution.residual, np.ones(image.shape), model, inside=~nothing, segments=nothing,
                      fwhm_pixels=fwhm)  # fmt: skip

        measured(found, "proposals", proposals)
    return found


def gradient(template: Any, axis: int) -> Any:
    """Return the derivative of a template along an axis."""
    from dataclasses import replace

    return replace(template, data=-np.gradient(np.asarray(template.data, dtype=float), axis=axis))


def table(results: dict[int, dict[str, tuple[float, float]]]) -> str:
    """Return a Markdown table: processor time in s and peak memory in MB, and the exponents."""
    numbers = sorted(results)
    lines = ["| stage | " + " | ".join(f"{n}" for n in numbers) + " | exponent |", "|---" * (len(numbers) + 2) + "|"]
    first, last = numbers[0], numbers[-1]
    for stage in results[first]:
        cells = [f"{results[n][stage][0]:.1f} s, {results[n][stage][1]:.0f} MB" for n in numbers]
        ratio = results[last][stage][0] / results[first][stage][0]
        lines.append(f"| {stage} | " + " | ".join(cells) + f" | {np.log(ratio) / np.log(last / first):.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", type=int, nargs="+")
    parser.add_argument("--band", default="irac", choices=("irac", "ks", "f160w"))
    parser.add_argument("--one", action="store_true", help="measure in this process and print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.numbers[0], arguments.band)))
        return
    results = {}
    for number in arguments.numbers:
        command = [sys.executable, __file__, str(number), "--band", arguments.band, "--one"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results[number] = json.loads(done.stdout.splitlines()[-1])
        print(f"{number} sources: done", file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
