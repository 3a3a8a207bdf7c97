"""The background that was fitted together with the fluxes of a band, as fluxes.fits records it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..core.types import Box
from ..io.tables import read_table_header
from ..photometry.background_polynomial import BackgroundPolynomial


def background_cards(
    polynomial: BackgroundPolynomial, coefficients: np.ndarray, errors: np.ndarray
) -> dict[str, int | float]:
    """Return the header cards of a polynomial: BGORDER, and BGCij ± BGEij for the term T_i(y) T_j(x).

    Parameters
    ----------
    polynomial : BackgroundPolynomial
    coefficients, errors : arrays (t,)
        Image units.
    """
    cards: dict[str, int | float] = {"BGORDER": polynomial.order}
    for (i, j), value, error in zip(polynomial.terms, coefficients, errors, strict=True):
        cards |= {f"BGC{i}{j}": float(value), f"BGE{i}{j}": float(error)}
    return cards


def background_terms(header: Mapping[str, object]) -> list[tuple[int, int, float, float]]:
    """Return (i, j, coefficient, error) of each term in the header of fluxes.fits; none for a band without fluxes."""
    if "BGORDER" not in header:
        return []
    terms = BackgroundPolynomial((1, 1), int(header["BGORDER"])).terms  # type: ignore[call-overload]
    values = [[float(header[f"{kind}{i}{j}"]) for kind in ("BGC", "BGE")] for i, j in terms]  # type: ignore[arg-type]
    return [(i, j, value, error) for (i, j), (value, error) in zip(terms, values, strict=True)]


def fitted_background(folder: Path, shape: tuple[int, ...], box: Box | None = None) -> np.ndarray:
    """Return the background that was fitted with the fluxes, in image units, shape (ny, nx) or that of the box.

    Parameters
    ----------
    folder : Path
        Products of the band.
    shape : (ny, nx)
        Of the band's image.
    box : Box, optional
        A part of the image.
    """
    header = read_table_header(folder / "fluxes.fits")
    terms = background_terms(header)
    if not terms:
        return np.full(shape if box is None else box.shape, float(header["BACKGR"]))  # type: ignore[arg-type]
    polynomial = BackgroundPolynomial((shape[0], shape[1]), max(i + j for i, j, _, _ in terms))
    return polynomial.image(np.array([value for _, _, value, _ in terms]), box)
