"""What is wrong between the keys of config.yaml: unknown bands, keys that exclude each other, columns of one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .config_errors import nearest_name

BAND_COLUMNS = (
    "flux_{}", "err_{}", "flag_{}", "err_formal_{}", "err_alone_{}", "err_sim_{}", "err_shape_{}",
    "err_shift_{}", "err_psf_{}", "err_misfit_{}", "ap_flux_{}", "ap_err_{}", "chi2_{}", "fracflux_{}",
    "neighbour_{}", "corr_{}", "dx_{}", "dy_{}", "err_dx_{}", "err_dy_{}",
    "flux_{}_ujy", "err_{}_ujy", "mag_{}", "mag_err_{}",
    "snr_{}", "mag_limit_{}", "a_{}",
)  # fmt: skip
"""The columns of a band in the catalogue; a test compares them with those that photometry.catalogue makes."""
YTE_KEY = "__use_yte__"
YTE_REFUSED = (
    f"{YTE_KEY} is not allowed: Snakemake runs the expressions of such a file as Python; write the values themselves."
)


def conflicts(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for everything that is wrong between keys.

    Parameters
    ----------
    data : mapping
        The configuration with `band_defaults` spread over the bands. Its values may be of any kind: what is not a
        section or a name is ignored here, because the check of single keys reports it.
    """
    found = data.get("bands")
    bands = {n: b for n, b in found.items() if isinstance(n, str)} if isinstance(found, dict) else {}
    if bands:
        yield from _names_of_no_band(data.get("detection"), list(bands))
        yield from _star_psf_of_other_grid(data, bands)
    for name, band in bands.items():
        if isinstance(band, dict):
            yield from _incomplete(name, band)
    yield from _equal_columns(list(bands))
    yield from _equal_filters({name: band for name, band in bands.items() if isinstance(band, dict)})


def _names_of_no_band(detection: Any, bands: list[str]) -> Iterator[str]:
    if not isinstance(detection, dict):
        return
    names = detection.get("bands")
    named = [("detection.bands", name) for name in names] if isinstance(names, list) else []
    for index, (key, name) in enumerate(named):
        if isinstance(name, str) and (key, name) in named[:index]:
            yield f"{key}: {name!r} is listed twice; list each band once."
    named = list(dict.fromkeys(pair for pair in named if isinstance(pair[1], str)))
    for key, name in [*named, ("detection.flux_band", detection.get("flux_band"))]:
        if isinstance(name, str) and name not in bands:
            yield f"{key}: {name!r} is not a defined band; did you mean {nearest_name(name, bands)!r}?"


def _incomplete(name: str, band: Mapping[str, Any]) -> Iterator[str]:
    given = [key for key in ("image", "mosaic") if band.get(key) is not None]
    if not given:
        yield f"bands.{name} has no image: give image (a file) or mosaic (a large file or URL to cut from)."
    if len(given) == 2:
        yield f"bands.{name} has both image and mosaic: give one of them."
    if band.get("mosaic") is not None and band.get("cutout_size") is None:
        yield f"bands.{name}.cutout_size is missing: a band with a mosaic needs the side of its cutout (arcsec)."
    if band.get("psf") is None:
        yield f"bands.{name}.psf is missing: expected a FITS image of the PSF."
    if _has_star_psf(band):
        yield from _keys_of_a_file(name, band)


def _has_star_psf(band: Any) -> bool:
    psf = band.get("psf") if isinstance(band, dict) else None
    return isinstance(psf, dict) and psf.get("stars") is not None


def _keys_of_a_file(name: str, band: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each key that only the file of a PSF can have."""
    if band.get("psf_oversampling", 1) not in (1, None):
        yield (
            f"bands.{name}.psf_oversampling is that of the file of a PSF; for one built from stars give "
            "psf: {stars: …, oversampling: …}, or leave it out."
        )
    if band.get("psf_kind", "effective") != "effective":
        yield f"bands.{name}.psf_kind: a PSF built from stars can only be effective; remove the key."


def _star_psf_of_other_grid(data: Mapping[str, Any], bands: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if the PSF of the fits is built from the stars of a band that is not a detection band."""
    models, detection = data.get("models"), data.get("detection")
    name = models.get("psf") if isinstance(models, dict) else None
    names = detection.get("bands") if isinstance(detection, dict) else None
    if not isinstance(name, str) or not isinstance(names, list) or name in names:
        return
    if _has_star_psf(bands.get(name)):
        yield (
            f"models.psf: the PSF of {name} is built from the stars of its image, which is not a detection image; name "
            "a band of detection.bands, or a file."
        )


def _equal_columns(bands: list[str]) -> Iterator[str]:
    """Yield a sentence for each pair of bands that share a column: FITS does not tell upper from lower case."""
    owners: dict[str, str] = {}
    described = set()
    for band in bands:
        for pattern in BAND_COLUMNS:
            column = pattern.format(band)
            other = owners.setdefault(column.lower(), band)
            if other != band and (other, band) not in described:
                described.add((other, band))
                yield (
                    f"bands: {other!r} and {band!r} would both have the column {column} in the catalogue (FITS does "
                    "not distinguish upper and lower case); rename one of them."
                )


def _equal_filters(bands: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each pair of bands that would share a column in the files of FAST and EAZY, or of CIGALE."""
    owners: dict[str, str] = {}
    of_cigale: dict[str, str] = {}
    for name, band in bands.items():
        # Only bands with a zero point are in these files.
        if band.get("zero_point") is None:
            continue
        other = owners.setdefault(str(band.get("filter") or name), name)
        if other != name:
            yield (
                f"bands: {other!r} and {name!r} have the same filter name {band.get('filter') or name!r}, and so the "
                "same column in the FAST and EAZY files; give each band its own filter."
            )
        names = band.get("sed_filters")
        cigale = names.get("cigale") if isinstance(names, dict) else None
        first = of_cigale.setdefault(str(cigale or band.get("filter") or name), name)
        if first not in (name, other):
            yield (
                f"bands: {first!r} and {name!r} have the same filter name for CIGALE, which takes no filter twice; "
                "give each band its own sed_filters: {cigale: …}."
            )
