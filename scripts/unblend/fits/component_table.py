"""The profiles of all sources that consist of two, as one table: the extension COMPONENTS of imfit/sersic.fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .result import GroupFit, MemberFit
from .table import limited_angle_errors

COMPONENTS_DTYPE = np.dtype(
    [("id", "i4"), ("fraction", "f8", (2,)),
     *((name, "f8", (2,)) for name in ("pa", "ell", "n", "r_e", "pa_err", "ell_err", "n_err", "r_e_err")),
     ("covariance", "f8", (10, 10))]
)  # fmt: skip
"""Columns of the table, which has one row for each source whose model consists of two Sersic profiles with one centre.
The first is the bulge where the program has chosen them. fraction is the share of each in the flux of the detection
image; pa, ell, n and r_e (pixels) are as in the table of all sources. `covariance` is that of y, x, of pa, ell, n, r_e
of the first profile, and of those of the second, marginalised over all other parameters: zero for fixed ones."""
UNITS = {"pa": "deg", "pa_err": "deg", "r_e": "pix", "r_e_err": "pix"}
_ORDER = [1, 0, 2, 3, 4, 6, 7, 8, 9, 11]
"""Indices of these parameters in the order of the fit: X0, Y0, PA, ell, n, I_e, r_e, and again from PA."""
_NAMES = ("pa", "ell", "n", "r_e")


def component_table(fits: Mapping[int, GroupFit], members: Mapping[int, Sequence[int]], custom: set[int]) -> np.ndarray:
    """Return the table of all sources with two profiles, in order of ID.

    Parameters
    ----------
    fits, members : mappings
        Fit and source IDs of each group, by main source.
    custom : set of int
        Sources with a custom model from the user.
    """
    found = [fits[group].member(i) for group, ids in members.items() for i in ids if i not in custom]
    rows = [_row(member) for member in found if len(member.components) == 2]
    return np.sort(np.concatenate([np.zeros(0, COMPONENTS_DTYPE), *rows]), order="id")


def _row(member: MemberFit) -> np.ndarray:
    row = np.zeros(1, COMPONENTS_DTYPE)
    row["id"] = member.id
    fluxes = np.array([profile.total_flux for profile in member.components])
    row["fraction"] = fluxes / fluxes.sum()
    for name in _NAMES:
        row[name] = [getattr(profile, name) for profile in member.components]
    covariance = np.full((10, 10), np.nan)
    if member.covariance:
        covariance = limited_angle_errors(np.array(member.covariance)[np.ix_(_ORDER, _ORDER)], (2, 6))
    row["covariance"][0] = covariance
    errors = np.sqrt(np.diag(covariance))[2:].reshape(2, len(_NAMES))
    for column, name in enumerate(_NAMES):
        row[f"{name}_err"] = errors[:, column]
    return row
