from __future__ import annotations

import shutil
import sys

import check_machine
import pytest


def test_this_machine_has_what_is_needed():
    check_machine.main()


def test_what_is_missing_is_named_with_the_packages_that_have_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(SystemExit, match=r"a C\+\+ compiler .* and the headers of Python\. .*apt-get install g\+\+"):
        check_machine.main()


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer"):
        check_machine.main()
