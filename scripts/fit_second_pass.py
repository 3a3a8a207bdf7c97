"""Second pass of a batch of fit groups, the first-pass models of the neighbours subtracted; their models are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unblend.field.fit_field import FitField
from unblend.io.files import read_json, read_note, write_json
from unblend.run.fit_batch import fit_batch
from unblend.run.fit_fallbacks import fallbacks_of_second_pass
from unblend.run.job_log import run
from unblend.run.render_batch import render_batch
from unblend.run.second_pass import SecondPass


def main(spec_path: str, results_dir: str, done_path: str, workers: int = 1) -> None:
    """Fit the groups whose key has changed; write `fit.json`, IMFIT's files and models, then the list of keys."""
    spec = read_json(spec_path)
    field = FitField(Path(results_dir), spec["gain"])

    second = SecondPass(field, spec)

    def fit(group: str):  # type: ignore[no-untyped-def]
        found = second.fit(group)
        second.write(group, found)
        return replace(found, data=None, by_imfit=None)

    fallbacks = fallbacks_of_second_pass(field, spec, second.data, second.write)
    keys = fit_batch(field, spec, "second", fit, fallbacks, workers)
    # Snakemake deletes the list of keys before the job, so the sources with the user's own models are noted beside it;
    # before any model is replaced, for a job that is killed in between
    record = Path(done_path).with_name(f"custom-{Path(done_path).name}")
    # all of them where the note is damaged: one drawn again in vain is the same
    everything = [int(i) for e in spec["groups"].values() for i in e["user_files"]]
    before = read_note(record, everything) if record.exists() else []
    custom = {int(i) for e in spec["groups"].values() for i, kinds in e["user_files"].items() if "custom" in kinds}
    write_json(record, sorted({*before, *custom}))
    now = render_batch(field, spec, before, workers)
    write_json(record, now)
    write_json(done_path, {"groups": keys, "custom": now})


if __name__ == "__main__":
    run(main)
