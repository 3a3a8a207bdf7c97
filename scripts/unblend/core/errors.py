"""What a user may have to read: one sentence that says where, what was expected, found, and what to do."""


class UnblendError(Exception):
    """An error that the user can mend. Its text is one clear sentence; no traceback is shown for it."""


class ConfigError(UnblendError):
    """config.yaml holds something that the workflow cannot use."""


class InputError(UnblendError):
    """An input file is missing, unreadable, or not what it should be."""


class RegionError(InputError):
    """A DS9 region file has a line that cannot be understood."""


class OverrideError(InputError):
    """An overrides/{id}.dat file has a line that cannot be understood."""


class ShiftError(UnblendError):
    """The astrometric search found no minimum inside its grid."""
