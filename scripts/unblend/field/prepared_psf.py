"""The PSF of a band or of the stack, at every place, prepared from the user's files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.coordinates import pixel_scale
from ..core.errors import InputError
from ..core.field_psf import Everywhere, FieldPsf, Places
from ..images.psf import (
    WELL_SAMPLED_FWHM,
    PsfFindings,
    examined_psf,
    fwhm,
    of_one_shape,
    prepare_psf,
)
from ..io.images import read_header, read_shape, read_wcs
from ..io.psf_files import Points, PsfFile, read_placed_psfs, read_psf_images
from ..io.psf_polygons import read_psf_polygons
from ..io.psf_sampling import on_detector, oversampled_extension, stated_pixels_arcsec, stated_sampling
from ..io.selections import split_extension
from .psf_places import placed_psfs, polygon_places
from .psf_stars import StarPsf, star_psf

log = logging.getLogger(__name__)

SCALE_TOLERANCE = 0.02
"""Largest relative difference between the sampling in the PSF's header and psf_oversampling."""
OPTICAL_OVERSAMPLING = 1.5
"""PSF pixels per image pixel below which an optical PSF is doubtful: the light within a pixel is not sampled."""
UNLIKELY_SAMPLING = 50.0
"""PSF pixels per image pixel, or the inverse, that no PSF has: the header is wrong, and not psf_oversampling."""
LISTED = 3
"""PSFs of a map that a message names."""


def prepared_psf(spec: Mapping[str, Any], psf: FieldPsf | None = None) -> tuple[FieldPsf, np.ndarray]:
    """Return the PSF of a job spec and the FWHM of each of its PSFs in PSF pixels, after a check of scale and sampling.

    Parameters
    ----------
    spec : mapping
        `name`; `psf` and, where there are any, `polygons` (`file` of each); `oversampling`, `kind`, `sum` and `centre`;
        `image`, whose `file` has the pixel grid; `other_grid`, True where the PSF is that of another image. Or, for a
        PSF built from stars, what `psf_stars.star_psf` needs.
    psf : FieldPsf, optional
        The result of `psf_of` where it is already known.

    Raises
    ------
    InputError
        A file is not usable, nothing says where the PSFs of a map hold, or the sampling in the header contradicts
        psf_oversampling.
    """
    psf, widths = measured_psf(spec, psf)
    log.info("%s: %s", spec["name"], describe_psf(spec, psf, widths))
    return psf, widths


def measured_psf(spec: Mapping[str, Any], psf: FieldPsf | None = None) -> tuple[FieldPsf, np.ndarray]:
    """Return the result of `prepared_psf` without a line on it in the log; warnings are logged.

    Raises
    ------
    InputError
        As for `prepared_psf`.
    """
    psf = psf_of(spec) if psf is None else psf
    widths = np.array([fwhm(one) for one in psf.psfs])
    coarse = np.flatnonzero(widths < WELL_SAMPLED_FWHM)
    if coarse.size:
        which = (
            "the PSF's FWHM is" if widths.size == 1 else f"{coarse.size} of {widths.size} PSFs have a FWHM of down to"
        )
        log.warning("%s: %s %.2f of its own pixels: below %.1f bright point sources are off by 1 %% or "
                    "more between pixels; give an oversampled PSF (psf_oversampling).",
                    spec["name"], which, widths.min(), WELL_SAMPLED_FWHM)  # fmt: skip
    if psf.kind == "optical" and psf.oversampling < OPTICAL_OVERSAMPLING:
        log.warning("%s: psf_kind is optical, and the PSF has only %.2g pixels per image pixel: on the pixels of its "
                    "image a PSF usually includes the response of the pixel (psf_kind: effective), which then counts "
                    "twice and makes the fluxes a few per cent too large; give an optical PSF on finer pixels.",
                    spec["name"], psf.oversampling)  # fmt: skip
    return psf, widths


def describe_psf(spec: Mapping[str, Any], psf: FieldPsf, widths: np.ndarray) -> str:
    """Return one line on a PSF: its FWHM in arcsec and in PSF pixels, its sampling and its sum.

    Parameters
    ----------
    spec : mapping
        As for `prepared_psf`.
    psf : FieldPsf
    widths : array (n,)
        FWHM of each PSF in PSF pixels.
    """
    scale = pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"])) / psf.oversampling
    if "stars" in spec:
        return (
            f"FWHM of the PSF built from stars {widths[0] * scale:.3f} arcsec ({widths[0]:.2f} PSF pixels, "
            f"oversampling {psf.oversampling:g})"
        )
    sums = [one.original_sum for one in psf.psfs]
    kept = "kept" if spec["sum"] == "given" else "set to 1"
    if len(psf.psfs) == 1:
        return (
            f"FWHM of the PSF {widths[0] * scale:.3f} arcsec ({widths[0]:.2f} PSF pixels, oversampling "
            f"{psf.oversampling:g}), sum of the file {sums[0]:.4g} ({kept})"
        )
    low, high = widths.min(), widths.max()
    return (
        f"{len(psf.psfs)} PSFs, FWHM {low * scale:.3f}–{high * scale:.3f} arcsec ({low:.2f}–{high:.2f} PSF pixels, "
        f"oversampling {psf.oversampling:g}), sums of the file {min(sums):.4g}–{max(sums):.4g} ({kept})"
    )


def fwhm_arcsec(spec: Mapping[str, Any], psf: FieldPsf, widths: np.ndarray) -> float:
    """Return the FWHM of a PSF, the median of several, in arcsec; parameters as for `describe`."""
    pixel = pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"]))
    return float(np.median(widths)) * pixel / psf.oversampling


def psf_of(spec: Mapping[str, Any]) -> FieldPsf:
    """Return the PSF of a job spec.

    Raises
    ------
    InputError
        As for `prepared_psf`.
    """
    if "stars" in spec:
        return psf_of_stars(spec, star_psf(spec))
    image = spec["image"]["file"]
    name, wcs, shape = spec["psf"]["file"], read_wcs(image), read_shape(image)
    places: Places
    if "polygons" in spec:
        file = read_psf_images(name)
        polygons = read_psf_polygons(spec["polygons"]["file"], file.labels)
        places, used = polygon_places(polygons, wcs, shape)
        images, names = file.images[used], tuple(file.names[k] for k in used)
    else:
        file = read_placed_psfs(name)
        _check_grid(spec, file)
        images, names, places = placed_psfs(file, wcs, shape, read_header(image))
    sampling = _sampling(spec, file)
    keys = (sampling, spec["kind"], spec["sum"], spec["centre"])
    if len(images) > 1:
        return _map_of(images, names, places, keys, name)
    single = prepare_psf(
        images[0], oversampling=sampling, kind=spec["kind"], total=spec["sum"], position=spec["centre"], name=name
    )
    return FieldPsf((single,), places)


def psf_of_stars(spec: Mapping[str, Any], found: StarPsf) -> FieldPsf:
    """Return a PSF built from stars, centred as the job spec wants it."""
    single = prepare_psf(
        found.built.held * found.built.data, oversampling=found.built.oversampling, total=spec["sum"],
        position=spec["centre"], name=f"PSF of {spec['name']}",
    )  # fmt: skip
    return FieldPsf((single,), Everywhere())


def _check_grid(spec: Mapping[str, Any], file: PsfFile) -> None:
    """Check that positions in pixels are those of the image.

    Raises
    ------
    InputError
        They are those of a band that is not on the grid of the detection images.
    """
    on_sky = file.places is None or (isinstance(file.places, Points) and file.places.frame == "sky")
    if spec.get("other_grid") and not on_sky:
        raise InputError(
            f"models.psf: the PSFs of band {spec['name']} have places in the pixels of its image, which is not a "
            "detection image; expected positions on the sky or polygons. Name a band of detection.bands."
        )


def _map_of(
    images: np.ndarray, names: Sequence[str], places: Places, keys: tuple[float, str, str, str], name: str
) -> FieldPsf:
    """Return the PSFs of a map; what is odd about some of them is one warning for all.

    Raises
    ------
    InputError
        One of them cannot be used.
    """
    examined = [examined_psf(image, *keys, own) for image, own in zip(images, names, strict=True)]
    _warn({own: findings for own, (_, findings) in zip(names, examined, strict=True)}, name)
    return FieldPsf(of_one_shape([psf for psf, _ in examined]), places)


def _warn(findings: Mapping[str, PsfFindings], name: str) -> None:
    """Warn of what is odd about PSFs, each kind in a line that names the first of them."""
    pedestals = {own: found.pedestal for own, found in findings.items() if found.pedestal is not None}
    if pedestals:
        worst = max(pedestals, key=lambda own: abs(pedestals[own].share))
        listed = _listed(pedestals, name)
        log.warning("%s: near the border of the stamp %d of %d PSFs do not fall as the wings of a PSF do (%s): a "
                    "pedestal of about %.2g a pixel holds %.1f %% of the sum of %s, and the fluxes are wrong by about "
                    "as much; subtract it from the file.", name, len(pedestals), len(findings), listed,
                    pedestals[worst].level, 100 * pedestals[worst].share, worst)  # fmt: skip
    double = {own: found.companion.height for own, found in findings.items() if found.companion is not None}
    if double:
        log.warning("%s: %d of %d PSFs (%s) have a second peak of up to %.0f %% of the first, as of a neighbour of the "
                    "star from which they were made, and the fluxes are wrong; remove it from the file.", name,
                    len(double), len(findings), _listed(double, name), 100 * max(double.values()))  # fmt: skip
    noisy = {own: found.sum_error for own, found in findings.items() if found.sum_error is not None}
    if noisy:
        log.warning("%s: the pixels of %d of %d PSFs (%s) are so noisy that their sums, and all fluxes, may be wrong "
                    "by up to %.0f %%; set those far from the centres to 0, or fit profiles to them.", name, len(noisy),
                    len(findings), _listed(noisy, name), 100 * max(noisy.values()))  # fmt: skip
    cut = {own: found.border_share for own, found in findings.items() if found.border_share is not None}
    if cut:
        log.warning("%s: the outermost pixels of %d of %d PSFs (%s) hold up to %.0f %% of their light: the stamps are "
                    "too small, and the fluxes lack what lies beyond them; give larger ones, or psf_sum: given with "
                    "the true sums.", name, len(cut), len(findings), _listed(cut, name),
                    100 * max(cut.values()))  # fmt: skip
    astray = [own for own, found in findings.items() if found.centre is not None]
    if astray:
        log.warning("%s: the centroids of %d of %d PSFs (%s) are more than a pixel from the middle of the array; they "
                    "are taken as the position of the source. If the middle is meant, set psf_centre: given.",
                    name, len(astray), len(findings), _listed(astray, name))  # fmt: skip


def _listed(names: Iterable[str], path: str) -> str:
    """Return the first of several names, without the file's own."""
    short = [name.removeprefix(path) for name in names]
    return ", ".join([*short[:LISTED], *(["…"] if len(short) > LISTED else [])])


def _sampling(spec: Mapping[str, Any], file: PsfFile) -> float:
    """Return the number of PSF pixels per image pixel: what the format says, else psf_oversampling.

    Raises
    ------
    InputError
        What the format or the header says and psf_oversampling differ by more than `SCALE_TOLERANCE`: all fluxes would
        be wrong by the square of the factor.
    """
    name = spec["psf"]["file"]
    stated = {} if file.sampling else stated_pixels_arcsec(file.names[0], file.header)
    if file.sampling:
        sampling, described = file.sampling, f"has {file.sampling:.4g} PSF pixels per image pixel by its format"
    elif stated:
        _check_agreement(stated, name)
        card, pixel = next(iter(stated.items()))
        image = pixel_scale(read_wcs(spec["image"]["file"]), read_shape(spec["image"]["file"]))
        sampling = image / pixel
        described = f"has pixels of {pixel:.4f} arcsec by its header ({card}), and the image of {image:.4f}"
    elif (found := stated_sampling(file.header)) is not None:
        sampling, described = found.value, f"has {found.card} = {found.value:g} by its header"
    elif spec["oversampling"] == 1.0 and (extension := oversampled_extension(file.header)):
        raise InputError(
            f"the image of {name} is the extension {extension}, whose pixels are finer than those of the detector, but "
            f"psf_oversampling of band {spec['name']} is 1: set it to the number of PSF pixels per image pixel, or "
            f'name the extension on the pixels of the detector, "{split_extension(name)[0]}[{on_detector(extension)}]".'
        )
    else:
        return float(spec["oversampling"])
    if abs(spec["oversampling"] / sampling - 1.0) > SCALE_TOLERANCE:
        if spec["name"] == "models.psf":
            raise InputError(
                f"models.psf: {name} {described}; expected a PSF on the pixels of the detection images. Name a band in "
                f"models.psf, with this PSF and psf_oversampling {sampling:.3f}, or correct the header."
            )
        raise InputError(
            f"{name} {described}, but psf_oversampling of band {spec['name']} is "
            f"{spec['oversampling']:g}: {_advice(sampling)}."
        )
    return float(file.sampling or spec["oversampling"])


def _advice(sampling: float) -> str:
    """Return what to do about a psf_oversampling that the header contradicts."""
    if 1.0 / UNLIKELY_SAMPLING < sampling < UNLIKELY_SAMPLING:
        return f"set it to {sampling:.3f}, or correct the header"
    return "correct the header (CDELT and CD are in degrees unless CUNIT says otherwise, the other cards in arcsec)"


def _check_agreement(stated: Mapping[str, float], name: str) -> None:
    """Check that all pixel sizes of a header are one.

    Raises
    ------
    InputError
        Two of them differ by more than `SCALE_TOLERANCE`.
    """
    smallest, largest = min(stated, key=lambda card: stated[card]), max(stated, key=lambda card: stated[card])
    if stated[largest] / stated[smallest] - 1.0 > SCALE_TOLERANCE:
        raise InputError(
            f"{name} has pixels of {stated[smallest]:.4f} arcsec by {smallest} of its header and of "
            f"{stated[largest]:.4f} arcsec by {largest}; expected one size. Correct or remove the wrong card."
        )
