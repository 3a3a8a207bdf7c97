"""A band as the solution sees it: image less background, weights, mask, PSF, read from inputs and products."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.coordinates import shift_to_pixels
from ..core.errors import UnusableBandError
from ..core.field_psf import FieldPsf
from ..core.shift_field import ShiftField
from ..core.statistics import noise_rms
from ..core.types import Model, ModelOutline, NoiseOrigin, Region
from ..io.files import read_json
from ..io.images import read_array, read_labels, read_wcs
from ..io.models import read_model, read_model_outline
from ..io.psfs import read_psf
from ..io.regions import read_regions
from .failed_band import check_band
from .weight_maps import read_weight

if TYPE_CHECKING:
    from astropy.wcs import WCS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BandData:
    """The pixels of a band.

    Parameters
    ----------
    image : array (ny, nx)
        The band's image less its moving background; may hold NaN.
    weight : array (ny, nx)
        Inverse variance, 0 where the mask is True.
    mask : array (ny, nx) of bool
        True where a pixel is ignored.
    wcs : WCS
    psf : FieldPsf
    fwhm : float
        Of the PSF and the pixel, in pixels; of a map, the median.
    noise_origin : {"value", "map", "weights", "image"}
        Where the weight comes from, see `NoiseOrigin`.
    background_order : int
        Order of the polynomial that is fitted with the fluxes; 0 for a constant.
    psf_error : float
        Error of the FWHM of the PSF as a fraction, which is part of the errors of the fluxes.
    """

    image: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    wcs: WCS
    psf: FieldPsf
    fwhm: float
    noise_origin: NoiseOrigin
    background_order: int = 0
    psf_error: float = 0.0


def load_band_data(spec: Mapping[str, Any], results: Path, *, final_weights: bool = False) -> BandData:
    """Return the band that a job spec describes.

    Parameters
    ----------
    spec : mapping
        The job spec: `band`, `image`, `weight`, `rms`, `background_order`.
    results : Path
        Folder of the products.
    final_weights : bool
        Whether to read the final weights of the extraction instead of the user's.

    Raises
    ------
    UnusableBandError
        A product of the band has no content, see `failed_band`. Every pixel is masked or without weight; or with
        `rms: auto`, those that are not masked have no scatter.
    """
    folder = results / "bands" / spec["band"]
    check_band(spec["band"], results)
    image = read_array(spec["image"]["file"])
    image -= read_array(str(folder / "background.fits"))
    mask = read_labels(str(folder / "mask.fits")) != 0
    if mask.all():
        raise UnusableBandError(
            f"bands.{spec['band']}: no pixel of {spec['image']['file']} can be used: all are not finite, not observed, "
            "without weight, or in border and bad regions. Correct these, or drop the band."
        )
    if final_weights:
        weight = read_array(str(folder / "weight.fits"))
    elif spec["weight"]:
        weight = read_weight(spec["weight"], image.shape)
    else:
        rms = noise_rms(image, mask) if spec["rms"] == "auto" else float(spec["rms"])
        if not rms > 0:
            raise UnusableBandError(
                f"bands.{spec['band']}: the noise of {spec['image']['file']} cannot be measured: most of its pixels "
                f"have the value {np.nanmedian(image[~mask]):g}. Set rms, or correct the image."
            )
        weight = np.full(image.shape, rms**-2)
    weight[mask] = 0.0
    if not (weight > 0).any():
        raise UnusableBandError(
            f"bands.{spec['band']}: no pixel of {spec['image']['file']} has a weight outside the mask. Correct the "
            "weight map or the image, or drop the band."
        )
    noise_origin = _noise_origin(spec)
    psf, header = read_psf(str(folder / "psf.fits"))
    fwhm = float(header["FWHM"])  # type: ignore[arg-type]
    wcs, order = read_wcs(spec["image"]["file"]), int(spec["background_order"])
    return BandData(image, weight, mask, wcs, psf, fwhm, noise_origin, order, spec.get("psf_error", 0.0))


def _noise_origin(spec: Mapping[str, Any]) -> NoiseOrigin:
    if spec["weight"]:
        return "weights" if spec["weight"]["kind"] == "weight" else "map"
    return "image" if spec["rms"] == "auto" else "value"


class StoredModels(Mapping[int, Model]):
    """The models of sources by ID, in the order of the IDs. Each one is read when it is asked for, and not kept.

    Parameters
    ----------
    results : Path
        Folder of the products.
    ids : iterable of int, optional
        The sources; by default all that have a model.
    """

    def __init__(self, results: Path, ids: Iterable[int] | None = None) -> None:
        self._folder = results / "imfit" / "models"
        every = map(int, read_json(results / "imfit" / "models.json")["models"]) if ids is None else ids
        self._ids = sorted(every)
        self._known = frozenset(self._ids)

    def _path(self, number: int) -> Path:
        if number not in self._known:
            raise KeyError(number)
        return self._folder / f"{number}.fits"

    def __getitem__(self, number: int) -> Model:
        """Return a model with its pixels."""
        return read_model(self._path(number))

    def __contains__(self, number: object) -> bool:
        """Return whether a source has a model, without reading it."""
        return number in self._known

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def outlines(self) -> dict[int, ModelOutline]:
        """Return all models without their pixels."""
        return {number: read_model_outline(self._path(number)) for number in self._ids}


def has_varying_shift(spec: Mapping[str, Any]) -> bool:
    """Return whether the shift of a band varies over its image: `shift: {field: auto}`."""
    return isinstance(spec["shift"], dict)


def is_shift_measured(spec: Mapping[str, Any]) -> bool:
    """Return whether the shift of a band is the result of a search; otherwise it is given."""
    return spec["shift"] == "auto" or has_varying_shift(spec)


def has_failed_shift(spec: Mapping[str, Any], results: Path) -> bool:
    """Return whether the search for the shift of a band has failed."""
    return is_shift_measured(spec) and bool(_measured_shift(spec, results).get("failed"))


def adopted_shift(spec: Mapping[str, Any], results: Path) -> tuple[float, float]:
    """Return the shift of a band (along X, Y in arcsec): the user's, or the result of the search."""
    if is_shift_measured(spec):
        dx, dy = _measured_shift(spec, results)["shift_arcsec"]
        return dx, dy
    return float(spec["shift"][0]), float(spec["shift"][1])


def adopted_field(spec: Mapping[str, Any], results: Path) -> ShiftField | None:
    """Return the field of shifts in addition to `adopted_shift`; None where the shift is the same everywhere."""
    found = _measured_field(spec, results)
    if found is None:
        return None
    y0, x0 = origin_of(spec)
    return ShiftField.from_json(found).moved(-y0, -x0)


def error_of_shift(spec: Mapping[str, Any], results: Path, wcs: WCS, shape: tuple[int, ...]) -> ShiftField | None:
    """Return the covariance of the adopted shift, in pixels, as that of a field; None where the user gives the shift.

    Parameters
    ----------
    spec : mapping
        The job spec: `band`, `shift`.
    results : Path
        Folder of the products.
    wcs : WCS
        Of the band.
    shape : (ny, nx)
        Of its image.

    Returns
    -------
    ShiftField or None
        Its covariance is NaN where the search has failed or its error is not known.
    """
    if not is_shift_measured(spec):
        return None
    field = adopted_field(spec, results)
    if field is not None:
        return field
    found = _measured_shift(spec, results)["shift_error_arcsec"]
    if found is None:
        return ShiftField.constant((0.0, 0.0), (np.nan, np.nan))
    middle = ((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0)
    return ShiftField.constant((0.0, 0.0), shift_to_pixels(wcs, (found[0], found[1]), *middle))


def outliers_of_field(spec: Mapping[str, Any], results: Path) -> frozenset[int]:
    """Return the sources whose measured offsets disagree with the field of shifts; none where there is no field."""
    found = _measured_field(spec, results)
    return frozenset() if found is None else frozenset(found["outliers"])


def _measured_field(spec: Mapping[str, Any], results: Path) -> dict[str, Any] | None:
    """Return what astrometry.json says about the field of shifts; None where there is none."""
    if not has_varying_shift(spec):
        return None
    return _measured_shift(spec, results).get("field")


def _measured_shift(spec: Mapping[str, Any], results: Path) -> dict[str, Any]:
    """Return astrometry.json of a band; for a tile, that of its band."""
    return dict(read_json(results / "bands" / whole_name(spec) / "astrometry.json"))


def whole_name(spec: Mapping[str, Any]) -> str:
    """Return the name of the band of a job spec; for a tile, that of its band."""
    return str(spec["tile"]["band"] if "tile" in spec else spec["band"])


def origin_of(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Return the pixel (y, x) of the image of the band that is the first of a tile; (0, 0) for a whole band."""
    y0, x0 = spec["tile"]["origin"] if "tile" in spec else (0, 0)
    return y0, x0


def read_band_regions(path: str | Path, spec: Mapping[str, Any]) -> list[Region]:
    """Return the regions of a file whose pixels are those of the band, in the pixels of a tile where this is one."""
    y0, x0 = origin_of(spec)
    return [region.moved(-y0, -x0) for region in read_regions(path)]
