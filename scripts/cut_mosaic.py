"""Cut the field out of a mosaic, a file or a URL, or a tile out of the image of a band."""

from __future__ import annotations

import logging

import numpy as np
from unblend.core.errors import InputError
from unblend.core.types import Box
from unblend.field.failed_band import failure_cards, write_failed_cutout
from unblend.images.cutouts import cutout_box
from unblend.io.files import read_json
from unblend.io.images import read_window, write_image
from unblend.io.mosaics import open_mosaic, window_wcs
from unblend.run.job_log import band_of, record_work, run

log = logging.getLogger("unblend.cutout")


def main(spec_path: str, image_path: str, weight_path: str) -> None:
    """Write the cutout and, with the same box, its weight map; without a weight map an empty one is written."""
    spec = read_json(spec_path)
    if "window" in spec:
        cut_tile(spec, image_path, weight_path)
    else:
        cut_field(spec, image_path, weight_path)
    record_work("cutout", band_of(image_path))


def cut_tile(spec: dict, image_path: str, weight_path: str) -> None:
    """Write the pixels of a tile and of its weight map; where they cannot be read, none, with the reason."""
    window = Box(*spec["window"])
    wcs = window_wcs(spec["image"]["file"], window)
    try:
        image = read_window(spec["image"]["file"], window)
        weight = read_window(spec["weight"]["file"], window) if spec["weight"] else np.zeros((1, 1))
        cards = {}
    except InputError as error:
        log.info("%s", error)
        image, weight, cards = np.full(window.shape, np.nan), np.zeros(window.shape), failure_cards(error)
    write_image(image_path, image, wcs=wcs, header=cards)
    write_image(weight_path, weight, wcs=wcs if spec["weight"] else None)


def cut_field(spec: dict, image_path: str, weight_path: str) -> None:
    """Write the pixels of a mosaic around the target and of its weight map; where they cannot be read, none.

    Raises
    ------
    InputError
        They cannot be read, and the detection needs them.
    """
    try:
        read_field(spec, image_path, weight_path)
    except InputError as error:
        reason = InputError(f"bands.{band_of(image_path)}.mosaic: {error}")
        if spec["needed"]:
            raise reason from error
        log.info("%s", reason)
        write_failed_cutout(image_path, weight_path, spec, reason)


def read_field(spec: dict, image_path: str, weight_path: str) -> None:
    """Read the pixels of a mosaic around the target and of its weight map, and write them.

    Raises
    ------
    InputError
        A server does not send them, or one of the files cannot be used.
    """
    with open_mosaic(spec["mosaic"]["file"]) as mosaic:
        box = cutout_box(mosaic.wcs, mosaic.shape, spec["target"], spec["size_arcsec"], spec["mosaic"]["file"])
        shape = mosaic.shape
        write_image(image_path, mosaic.read(box), wcs=mosaic.cut_wcs(box), header=mosaic.calibration)
    if spec["weight"]:
        with open_mosaic(spec["weight"]["file"]) as mosaic:
            if mosaic.shape != shape:
                raise InputError(
                    f"{spec['weight']['file']} has {mosaic.shape[1]} x {mosaic.shape[0]} pixels and its mosaic "
                    f"{shape[1]} x {shape[0]}: the weight map must lie on the mosaic's grid."
                )
            write_image(weight_path, mosaic.read(box), wcs=mosaic.cut_wcs(box))
    else:
        write_image(weight_path, np.zeros((1, 1)))


if __name__ == "__main__":
    run(main)
