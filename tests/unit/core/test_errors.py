from __future__ import annotations

import pytest
from unblend.core import errors


@pytest.mark.parametrize("name", ["ConfigError", "InputError", "RegionError", "OverrideError", "ShiftError"])
def test_everything_a_user_can_mend_is_one_family(name):
    assert issubclass(getattr(errors, name), errors.UnblendError)
    assert str(getattr(errors, name)("a.fits is missing: give it.")) == "a.fits is missing: give it."


def test_files_that_are_wrong_are_input_errors():
    assert issubclass(errors.RegionError, errors.InputError) and issubclass(errors.OverrideError, errors.InputError)
    assert not issubclass(errors.ConfigError, errors.InputError)
