"""Errors that a user can fix: each message says where the problem is, what was expected and found, and what to do."""


class UnblendError(Exception):
    """An error that the user can fix. Its message is shown without a traceback."""


class ConfigError(UnblendError):
    """The configuration has an invalid key or value."""


class InputError(UnblendError):
    """An input file is missing, unreadable or of the wrong kind."""


class UnusableBandError(InputError):
    """No pixel of a band can be used: its fluxes are NaN, and the other bands are measured."""


class FailedBandError(UnusableBandError):
    """A job could not use an input of a band: its fluxes are NaN, and the other bands are measured."""


class RegionError(InputError):
    """A DS9 region file has an invalid line."""


class OverrideError(InputError):
    """An overrides/{id}.dat file has an invalid line."""


class ShiftError(UnblendError):
    """The search for the astrometric shift found no minimum of chi2 within max_shift."""
