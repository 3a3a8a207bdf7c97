"""The parameters of all fits as one table: imfit/sersic.fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.coordinates import pixel_scale, pixel_to_sky
from ..core.flags import Flag
from .result import GroupFit, MemberFit

if TYPE_CHECKING:
    from astropy.wcs import WCS

_REALS = (
    "x", "y", "ra", "dec", "pa", "ell", "n", "i_e", "r_e", "r_e_arcsec", "flux", "x_err", "y_err", "pa_err", "ell_err",
    "n_err", "i_e_err", "r_e_err", "chi2", "chi2_refined", "chi2_red", "chi2_red_group", "oversampling", "detail",
    "detail_err",
)  # fmt: skip
TABLE_DTYPE = np.dtype(
    [("id", "i4"), ("group", "i4"), ("flag", "i4"), ("n_pixels", "i4"), *((name, "f8") for name in _REALS),
     ("covariance", "f8", (6, 6)), ("functions", "U60")]
)  # fmt: skip
"""Columns of the table, which has one row per source. x, y are 1-based pixels of det_stack.fits, pa is in degrees
counter-clockwise from +y, and r_e is in pixels. chi2 is that of IMFIT's fit of the group (NaN in a large field, in
which IMFIT fits on request), chi2_refined that of the refined models (NaN: not refined), n_pixels belongs to both.
chi2_red_group (of the group) and chi2_red (of the source's segment) are those of the models in the table. `detail` is
the flux that the model's detail adds to `flux`, with its error; both are 0 without a detail. Parameters are NaN if the
model is not a single Sersic profile; those of a galaxy that is fitted
as bulge and disc are of the best single profile of the first pass, with its errors for white noise. `covariance` is
that of y, x, pa, ell, n, r_e, marginalised over all other parameters: zero for fixed parameters, NaN where it is
unknown."""
_TABLE_ORDER = [1, 0, 2, 3, 4, 6]
"""Indices of y, x, pa, ell, n, r_e in the order of the fit: X0, Y0, PA, ell, n, I_e, r_e."""
_NAMES = ("x", "y", "pa", "ell", "n", "i_e", "r_e")
_PA_INDEX = 2
"""Index of the position angle in the table's covariance."""
_MAX_PA_ERR = 180.0 / math.sqrt(12.0)
"""Error in degrees of a completely unknown position angle. The formal error of a round profile can be 10¹⁴."""

TOO_GOOD, FEWEST = 0.3, 3
"""chi2_red below which the noise of a fit is overestimated, and the number of sources from which a user is told. The
medians of real fields are 1.0 and more."""


def noise_warning(table: np.ndarray) -> str | None:
    """Return a sentence for the user if the fits follow the pixels far better than their noise allows, otherwise None.

    Parameters
    ----------
    table : array of `TABLE_DTYPE`
    """
    known = table["chi2_red"][np.isfinite(table["chi2_red"])]
    if known.size < FEWEST or not np.median(known) < TOO_GOOD:
        return None
    return (
        f"the median chi2 of the fits of {known.size} sources is {np.median(known):.2g} for each degree of freedom: "
        "the noise at the sources is overestimated, and their shapes are hardly constrained. Check models.gain "
        "(electrons per image unit), which is too small if it is given, and the weight maps of the detection bands."
    )


def fit_table(
    fits: Mapping[int, GroupFit],
    members: Mapping[int, Sequence[int]],
    custom: set[int],
    wcs: WCS,
    oversampling: Mapping[int, float],
    details: Mapping[int, tuple[float, float]] | None = None,
) -> np.ndarray:
    """Return the table of all sources, in order of ID.

    Parameters
    ----------
    fits, members : mappings
        Fit and source IDs of each group, by main source.
    custom : set of int
        Sources with a custom model from the user.
    wcs : WCS
        World coordinates of the stack.
    oversampling : mapping of int to float
        Model pixels per detection pixel along each axis, by source.
    details : mapping of int to (float, float), optional
        Flux of the detail of a model and its error, of the sources that have one.
    """
    rows, details = [], details or {}
    for group, ids in members.items():
        for source in ids:
            row = np.zeros(1, dtype=TABLE_DTYPE)
            for name in _REALS:
                row[name] = np.nan
            row["covariance"] = np.nan
            row["id"], row["group"], row["oversampling"] = source, group, oversampling[source]
            row["detail"], row["detail_err"] = details.get(source, (0.0, 0.0))
            if source in custom:
                row["flag"], row["functions"] = int(Flag.CUSTOM_MODEL), "custom"
            else:
                _fill(row, fits[group], fits[group].member(source))
            if source in details:
                row["flag"] |= int(Flag.WITH_DETAIL)
            rows.append(row)
    table = np.sort(np.concatenate(rows), order="id")
    _add_sky_positions(table, wcs)
    return table


def _fill(row: np.ndarray, fit: GroupFit, member: MemberFit) -> None:
    """Write the fit of a source into its row; positions on the sky follow in `_add_sky_positions`."""
    row["flag"], row["n_pixels"] = member.flags, fit.n_pixels
    row["chi2"], row["chi2_red_group"] = fit.chi2, fit.reduced_chi2
    row["chi2_refined"] = np.nan if fit.exact_chi2 is None else fit.exact_chi2
    row["chi2_red"] = np.nan if member.chi2_segment is None else member.chi2_segment
    row["functions"] = "+".join(function.name for block in member.blocks for function in block.functions)
    first = member.blocks[0]
    if first.y0 is not None and first.x0 is not None:
        row["y"], row["x"] = first.y0.value + 1.0, first.x0.value + 1.0
    row["flux"] = member.flux
    if member.sersic is None and not member.one_profile:
        return
    shape = first if member.sersic is not None else member.one_profile[0]
    values = {p.name.lower(): p for p in (first.x0, first.y0, *shape.functions[0].parameters) if p is not None}
    for name in _NAMES:
        parameter = values[{"x": "x0", "y": "y0"}.get(name, name)]
        if name not in ("x", "y"):
            row[name] = parameter.value
        row[f"{name}_err"] = np.nan if parameter.error is None else parameter.error
    row["pa_err"] = np.minimum(row["pa_err"], _MAX_PA_ERR)
    if member.covariance and member.sersic is not None:
        in_order = np.array(member.covariance)[np.ix_(_TABLE_ORDER, _TABLE_ORDER)]
        row["covariance"][0] = limited_angle_errors(in_order, (_PA_INDEX,))


def limited_angle_errors(covariance: np.ndarray, angles: Sequence[int]) -> np.ndarray:
    """Return the covariance with the errors of position angles limited to `_MAX_PA_ERR`, correlations unchanged."""
    scale = np.ones(len(covariance))
    for index in angles:
        error = math.sqrt(covariance[index, index])
        scale[index] = min(1.0, _MAX_PA_ERR / error) if error > 0 else 1.0
    return covariance * np.outer(scale, scale)


def _add_sky_positions(table: np.ndarray, wcs: WCS) -> None:
    """Write ra, dec and r_e_arcsec of all sources into the table."""
    has_position = np.isfinite(table["x"])
    if has_position.any():
        ra, dec = pixel_to_sky(wcs, table["y"][has_position] - 1.0, table["x"][has_position] - 1.0)
        table["ra"][has_position], table["dec"][has_position] = ra, dec
    table["r_e_arcsec"] = table["r_e"] * pixel_scale(wcs)
