"""Tools of the mutations of whole runs: edits of the pixels, the header, the bytes and the configuration of a field."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent / "integration"))

from harness import Field
from smallfield import BLURRED, RMS

IMAGE, PSF = f"{BLURRED}.fits", f"{BLURRED}-psf.fits"
Mutation = Callable[[Field], None]


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Field], None]:
    """Return a mutation of the pixels of an image; `change` alters them in place or returns others."""

    def apply(field: Field) -> None:
        data, header = fits.getdata(field / name, header=True)
        data = np.array(data, dtype=np.float64)
        changed = change(data)
        data = data if changed is None else changed
        fits.writeto(field / name, np.asarray(data, dtype=np.float32), header, overwrite=True)

    return apply


def cards(name: str, **values: Any) -> Callable[[Field], None]:
    """Return a mutation of cards of a header; None deletes a card, a function changes its value."""

    def apply(field: Field) -> None:
        with fits.open(field / name, mode="update") as file:
            for key, value in values.items():
                if value is None:
                    file[0].header.remove(key, ignore_missing=True)
                else:
                    file[0].header[key] = value(file[0].header[key]) if callable(value) else value

    return apply


def content(name: str, change: Callable[[bytes], bytes]) -> Callable[[Field], None]:
    """Return a mutation of the bytes of a file; a new file where there is none."""

    def apply(field: Field) -> None:
        path = field / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))

    return apply


def band(**values: Any) -> Callable[[Field], None]:
    """Return a mutation of the section of the blurred band."""
    return lambda field: field.edit_config(lambda c: c["bands"][BLURRED].update(values))


def weight(of: Callable[[np.ndarray], np.ndarray], kind: str = "weight") -> Callable[[Field], None]:
    """Return a mutation that adds a weight map to the blurred band, made from the inverse variance of its noise."""

    def apply(field: Field) -> None:
        image, header = fits.getdata(field / f"{BLURRED}.fits", header=True)
        values = of(np.full(image.shape, RMS[BLURRED] ** -2))
        fits.writeto(field / "weight.fits", values.astype(np.float32), header)
        band(weight={"file": "weight.fits", "kind": kind})(field)

    return apply


def spikes(data: np.ndarray, number: int = 30, height: float = 50.0) -> None:
    """Add cosmic rays at random pixels."""
    y, x = np.random.default_rng(5).integers(0, data.shape, (number, 2)).T
    data[y, x] += height
