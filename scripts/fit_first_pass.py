"""First pass of a batch of fit groups: each on its own."""

from __future__ import annotations

from pathlib import Path

from unblend.field.fit_field import FitField
from unblend.fits.fit_settings import FitSettings
from unblend.fits.passes import fit_first_pass
from unblend.io.files import read_json, write_json
from unblend.run.fit_batch import fit_batch
from unblend.run.fit_fallbacks import fallbacks_of_first_pass
from unblend.run.job_log import run


def main(spec_path: str, results_dir: str, done_path: str, workers: int = 1) -> None:
    """Fit the groups whose key has changed; write `first.json` of each, and the list of keys when all is done."""
    spec = read_json(spec_path)
    field = FitField(Path(results_dir), spec["gain"])

    def fit(group: str):  # type: ignore[no-untyped-def]
        files = spec["groups"][group]["user_files"]
        settings = FitSettings(components=spec["components"])
        return fit_first_pass(field.data(group, files), field.psf_of(group), field.overrides(files), settings)

    write_json(done_path, fit_batch(field, spec, "first", fit, fallbacks_of_first_pass(field, spec), workers))


if __name__ == "__main__":
    run(main)
