"""Put mask and background of a band together from those of its tiles."""

from __future__ import annotations

from pathlib import Path

from unblend.field.band_regions import write_mask_regions
from unblend.field.failed_band import failure_cards
from unblend.field.tiled_band import TiledBand
from unblend.io.files import read_json
from unblend.io.regions import read_regions
from unblend.run.job_log import record_work, run


def main(spec_path: str, results_dir: str) -> None:
    """Write mask.fits, mask.reg and background.fits into the folder of the band."""
    spec = read_json(spec_path)
    band = TiledBand(spec, Path(results_dir))
    failure = band.failure()
    cards = failure_cards(failure) if failure else None
    band.write_mosaic("mask.fits", of_labels=True, header=cards)
    band.write_mosaic("background.fits")
    drawn = [region for name in ("border", "bad") for region in read_regions(spec[f"{name}_regions"]["file"])]
    write_mask_regions(band.folder / "mask.reg", drawn)
    record_work("mask", spec["band"])


if __name__ == "__main__":
    run(main)
