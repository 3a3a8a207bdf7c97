"""Whether the example field is still to be drawn."""

from __future__ import annotations

from pathlib import Path

from .config import Config

TRUTH = "truth.fits"
"""The table of true sources: it is written last, so that where it exists the field is complete."""


def example_is_missing(config: Config) -> bool:
    """Return whether the configuration has an example_seed and its field is not in data_dir yet."""
    return config.example_seed is not None and not (Path(config.data_dir) / TRUTH).exists()
