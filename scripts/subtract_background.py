"""The moving background of a band, the sources masked; zero without that option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unblend.core.coordinates import pixel_scale
from unblend.field.band_data import read_band_regions
from unblend.field.detection_window import projected_segments
from unblend.field.failed_band import PRODUCTS, failure_in
from unblend.images.background import moving_background
from unblend.images.masks import grow_mask, region_mask
from unblend.io.files import read_json
from unblend.io.images import read_array, read_header, read_labels, read_shape, read_sky_cards, read_wcs, write_image
from unblend.run.job_log import band_of, record_work, run


def main(
    spec_path: str, background_path: str, mask_path: str = "", psf_path: str = "", segments_path: str = ""
) -> None:
    """Write the background, in image units, finite everywhere; only a moving one needs mask, PSF and segments."""
    spec = read_json(spec_path)
    background = np.zeros(read_shape(spec["image"]["file"]))
    folder = Path(background_path).parent
    if spec["background"] and not any(failure_in(folder / name) for name in PRODUCTS):
        wcs, mask = read_wcs(spec["image"]["file"]), read_labels(mask_path) != 0
        image = read_array(spec["image"]["file"])
        # A source reaches as far in the band as its segment and the band's PSF together.
        fwhm = float(read_header(psf_path)["FWHM"])  # type: ignore[arg-type]
        segments = projected_segments(segments_path, wcs, image.shape)
        ignored = region_mask(read_band_regions(spec["mask_all_regions"]["file"], spec), wcs, image.shape)
        background, _ = moving_background(
            image,
            mask | ignored | grow_mask(segments, fwhm),
            box_pixels=spec["background"]["box"] / pixel_scale(wcs, image.shape),
            statistic=spec["background"]["statistic"],
        )
    write_image(background_path, background, header=read_sky_cards(spec["image"]["file"]))
    record_work("background", band_of(background_path))


if __name__ == "__main__":
    run(main)
