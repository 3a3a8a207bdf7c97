"""The section of config.yaml for Galactic extinction."""

from __future__ import annotations

from typing import Literal

from .config_values import FileName, Number, PositiveNumber, Section, key

SFD_SCALE = 0.86
"""Factor on the map of Schlegel, Finkbeiner & Davis (1998), after Schlafly & Finkbeiner (2011)."""


class Extinction(Section):
    """Galactic extinction as columns of the catalogue. No measured flux is corrected."""

    map: FileName = key(
        "sfd",
        "Map of E(B-V): a FITS image with a celestial WCS; a folder with SFD_dust_4096_ngp.fits and "
        "SFD_dust_4096_sgp.fits (Schlegel, Finkbeiner & Davis 1998); sfd: these two in data_dir.",
    )
    scale: PositiveNumber | None = key(
        None, "Factor on the map; null: 0.86 for that of SFD (Schlafly & Finkbeiner 2011), 1 for others."
    )
    law: Literal["F99", "F19", "CCM89", "O94", "G23"] = key(
        "F99",
        "Extinction law, by the name of its authors: Fitzpatrick 1999, Fitzpatrick et al. 2019, Cardelli et al. 1989, "
        "O'Donnell 1994, Gordon et al. 2023, which is taken beyond 3.3 micrometres in any case.",
    )
    R_V: Number = key(3.1, "Total to selective extinction A(V) / E(B-V).", ge=2.5, le=5.5)
