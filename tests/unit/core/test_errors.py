from __future__ import annotations

import pytest
from unblend.core import errors


@pytest.mark.parametrize("name", ["ConfigError", "InputError", "RegionError", "OverrideError", "ShiftError"])
def test_all_errors_that_a_user_can_fix_share_one_base_class(name):
    assert issubclass(getattr(errors, name), errors.UnblendError)
    assert str(getattr(errors, name)("a.fits is missing: give it.")) == "a.fits is missing: give it."


def test_files_that_are_wrong_are_input_errors():
    assert issubclass(errors.RegionError, errors.InputError) and issubclass(errors.OverrideError, errors.InputError)
    assert not issubclass(errors.ConfigError, errors.InputError)
