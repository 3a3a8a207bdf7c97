"""Cut the field out of a mosaic, a file or a URL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unblend.core.errors import InputError
from unblend.images.cutouts import cutout_box
from unblend.io.files import read_json
from unblend.io.images import write_image
from unblend.io.mosaics import open_mosaic
from unblend.run.job_log import record_work, run


def main(spec_path: str, image_path: str, weight_path: str) -> None:
    """Write the cutout and, with the same box, its weight map; without a weight map an empty one is written.

    Raises
    ------
    InputError
        The weight map does not lie on the mosaic's grid, as far as its size tells.
    """
    spec = read_json(spec_path)
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
    record_work("cutout", Path(image_path).parent.name)


if __name__ == "__main__":
    run(main)
