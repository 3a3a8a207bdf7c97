"""Draw the un-convolved models of a batch of fit groups."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from unblend.errors import InputError
from unblend.io.files import digest_of, read_json, write_json
from unblend.io.fit_field import FitField
from unblend.io.images import atomic_path, read_header, read_model, write_model
from unblend.model_images import model_of
from unblend.runlog import record_work, run

log = logging.getLogger("unblend.render")


def main(spec_path: str, results_dir: str, done_path: str) -> None:
    """Write `models/{id}.fits` of every source whose fit has changed or whose file is gone, then the list of keys."""
    spec = read_json(spec_path)
    field = FitField(Path(results_dir))
    wcs, theirs, before = field.wcs, [], users_models(done_path)
    for group, entry in spec["groups"].items():
        fit = field.result(group, "second")
        for source in field.groups[group]["members"]:
            path = field.folder / "models" / f"{source}.fits"
            custom = entry["user_files"].get(str(source), {}).get("custom")
            if custom:
                copy_custom(custom["file"], path)
                theirs.append(source)
                continue
            member = fit.member(source)
            key = digest_of([spec["drawing"], repr(member.blocks)])
            if source in before or key_of(path) != key:
                began = time.process_time()
                model = model_of(member, wcs, spec["oversampling"])
                write_model(path, model, {"KEY": key, "SOURCE": source, "GROUP": int(group)})
                record_work("render", source, time.process_time() - began)
    keys = {group: entry["key"] for group, entry in spec["groups"].items()}
    write_json(done_path, {"groups": keys, "custom": theirs})


def users_models(done_path: str) -> list[int]:
    """Return whose models were the user's own: made from one of ours, they may bear its key."""
    return read_json(done_path)["custom"] if Path(done_path).exists() else []


def key_of(path: Path) -> Any:
    """Return the key that a rendered model was made under, None where there is no such file."""
    try:
        return read_header(str(path)).get("KEY")
    except InputError:
        return None


def copy_custom(source: str, path: Path) -> None:
    """Copy a user's model as it is, once it is found fit for use."""
    read_model(source)
    if path.exists() and path.read_bytes() == Path(source).read_bytes():
        return
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    record_work("custom", path.stem)


if __name__ == "__main__":
    run(main)
