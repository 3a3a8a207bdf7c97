"""Products that were cut, emptied or overwritten are named, made again, and end as they were, to the byte."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from harness import BANDS, Field

pytestmark = pytest.mark.integration

KINDS = (
    ".fits", ".npz", ".json", ".ecsv", ".vot", ".cat", ".para", ".txt", ".html", ".png", ".reg", ".dat", ".sh",
)  # fmt: skip
WAYS = ("empty", "cut", "cut at a block", "a byte of the header")
NOT_LOOKED_AT = ("specs/", "logs/", "benchmarks/", "imfit/batches/custom-", "report/", "/.templates.npz")
"""Records of the program itself, pictures beside the page, and what a job keeps from its last run."""

OF_A_FIT = re.compile(r"imfit/\d+/.*\.(fits|dat|sh)")


def products(field: Field) -> dict[str, bytes]:
    """Return the content of every product by its name."""
    results = field / "results"
    found = (path for path in sorted(results.rglob("*")) if path.is_file() and path.suffix in KINDS)
    named = {path.relative_to(results).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in named.items() if not any(word in name for word in NOT_LOOKED_AT)}


def is_found_from_its_header(name: str) -> bool:
    """Whether a cut at a block border, or a wrong card of the length, is noticed in planning.

    The images in the folder of a fit are only measured: there are a dozen for each source.
    """
    folder = Path(name).parent
    return name.endswith(".fits") and (folder.name == "models" or not folder.as_posix().startswith("imfit/"))


def damage(path: Path, content: bytes, how: str, name: str) -> bool:
    """Damage a product if that way applies to its kind; return whether it does."""
    if how == "empty":
        new = b""
    elif name.endswith((".reg", ".dat", ".sh")):
        return False  # noticed only if empty
    elif how == "cut":
        new = content[: int(0.55 * len(content))]
        if name.endswith((".ecsv", ".cat", ".para", ".txt")):
            new = new.rstrip(b"\n")
    elif not is_found_from_its_header(name):
        return False
    elif how == "cut at a block":
        new = content[: (len(content) - 1) // 2880 * 2880]
    else:
        at = content.index(b"BITPIX")
        new = content[: at + 5] + b"Y" + content[at + 6 :]
    path.write_bytes(new)
    return True


@pytest.mark.parametrize("first", [0, 1])
def test_every_damaged_product_is_named_and_made_again(field: Field, first: int) -> None:
    """Each product in one of the ways of WAYS, and in the next one in a second run."""
    before = products(field)
    assert {f"bands/{band}/{name}" for band in BANDS for name in ("mask.fits", "templates.npz", "fluxes.fits")} <= set(
        before
    )
    assert {"catalogue.fits", "imfit/groups.json", "imfit/models/5.fits", "imfit/3/fit.json"} <= set(before)
    ways = itertools.cycle(WAYS)
    for _ in range(first):
        next(ways)
    damaged = [name for name, content in before.items() if damage(field / f"results/{name}", content, next(ways), name)]
    assert len(damaged) > 30

    messages = ""
    for _ in range(3):  # what planning itself must read, groups.json, is moved aside first
        planned = field.run(ok=None)
        messages += planned.messages
        if planned.status == 0:
            break
    after = products(field)
    assert [name for name in damaged if after.get(name) != before[name]] == []
    # With the record of a fit gone, too, its group is fitted anew: its other files are not looked at.
    expected = [name for name in damaged if not OF_A_FIT.fullmatch(name)]
    assert [name for name in expected if not any(f"{name} {was} damaged" in messages for was in ("is", "was"))] == []
    assert after["catalogue.fits"] == before["catalogue.fits"]
    # Snakemake lists the lines of the Snakefile below "Traceback:" with the sentence of an input function
    assert "Traceback (most recent call last)" not in messages
    assert field.run().work == set()


def test_deleted_products_are_made_again(field: Field) -> None:
    names = ("catalogue.vot", "catalogue.cigale.txt", "det_cat.reg", f"bands/{BANDS[0]}/mask.reg")
    before = {name: (field / f"results/{name}").read_bytes() for name in names}
    for name in names:
        (field / f"results/{name}").unlink()
    field.run()
    assert {name: (field / f"results/{name}").read_bytes() for name in names} == before
    assert field.run().work == set()
