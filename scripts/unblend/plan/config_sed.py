"""The names of the filter of a band in SED codes, in config.yaml."""

from __future__ import annotations

from .config_values import FilterName, PositiveWholeNumber, Section, key


class SedFilters(Section):
    """What SED codes call the filter of a band, where the workflow does not know it or takes another one."""

    eazy: PositiveWholeNumber | None = key(
        None,
        "Number in the filter file of EAZY and FAST; null: from the name of the filter or band, where it is known.",
    )
    lephare: FilterName | None = key(None, "File of the filter for LePhare, such as hst/f160w.pb; null: filter.")
    cigale: FilterName | None = key(None, "Name of the filter in the data base of CIGALE; null: filter.")
    prospector: FilterName | None = key(
        None, "Name of the filter in sedpy, for Prospector; null: from the name of the filter or band."
    )
    bagpipes: FilterName | None = key(None, "File of the transmission curve for BAGPIPES; null: filter.")
