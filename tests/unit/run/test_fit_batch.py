"""Fits that fail in all ways: what IMFIT does to a group is replaced, what happens to the machine is never stored."""

from __future__ import annotations

import errno
import faulthandler
import os
import signal
import time
from types import SimpleNamespace

import pytest
from unblend.core.errors import InputError, UnblendError
from unblend.core.types import Box
from unblend.field.fit_field import FitField
from unblend.fits.imfit_config import Parameter
from unblend.fits.result import GroupFit
from unblend.io.files import read_json, write_json
from unblend.run import fit_batch as module
from unblend.run.fit_batch import Fallback, fit_batch

GROUPS = {name: {"members": [int(name)], "box": [0, 0, 4, 4], "neighbours": []} for name in ("1", "2", "3", "4", "5")}
GROUPS["3"]["neighbours"] = [2]


def a_fit(chi2):
    """Return a fit of no members, told apart by its chi2."""
    sky = Parameter("I_sky", 0.0)
    return GroupFit(Box(0, 0, 4, 4), (), sky, sky, chi2, 10, 1, True, "LM", 3)


FITTED, REPLACED, REPLACED_FOR_TIME = a_fit(1.0), a_fit(2.0), a_fit(3.0)
MOMENTS = Fallback("models from moments", lambda group, timed_out: REPLACED_FOR_TIME if timed_out else REPLACED)


@pytest.fixture
def field(tmp_path, monkeypatch):
    """A field whose pixels nobody reads."""
    write_json(tmp_path / "imfit/groups.json", {"groups": GROUPS})
    monkeypatch.setattr(FitField, "load", lambda self: None)
    return FitField(tmp_path)


def spec(timeout_s=0.3, **user_files):
    files = {name: user_files.get(f"of_{name}", {}) for name in GROUPS}
    return {"groups": {n: {"key": f"k{n}", "user_files": files[n]} for n in GROUPS}, "timeout_s": timeout_s}


def compute():
    while True:
        pass


def fail(error):
    raise error


def die(number):
    faulthandler.disable()
    os.kill(os.getpid(), number)


def badly(action, group="2"):
    """Return a fit function that works, except for one group."""

    def fit(name):
        if name == group:
            action()
        return FITTED

    return fit


def stored(field, which="first"):
    """Return chi2 of every stored fit."""
    return {n: field.result(n, which).chi2 for n in GROUPS if field.path(n, which).exists()}


OWN = {
    **{s.name: (lambda s=s: die(s)) for s in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)},
    "exception": lambda: fail(RuntimeError("singular")),
}
OUTSIDE = {
    **{s.name: (lambda s=s: die(s)) for s in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)},
    "memory": lambda: fail(MemoryError("no memory")),
    "disk": lambda: fail(OSError(errno.ENOSPC, "No space left on device")),
    "exit": lambda: os._exit(1),
}


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("action", OWN.values(), ids=OWN)
def test_what_imfit_does_to_a_group_is_replaced(field, which, action, caplog):
    keys = fit_batch(field, spec(), which, badly(action), [MOMENTS], workers=2)
    assert keys == {name: f"k{name}" for name in GROUPS}
    assert stored(field, which) == {"1": 1.0, "2": 2.0, "3": 1.0, "4": 1.0, "5": 1.0}
    assert "group 2" in caplog.text and "models from moments" in caplog.text
    # stored once and for all: nothing is fitted again, whatever the time limit
    fit_batch(field, spec(900.0), which, fail, [], workers=2)


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("action", OUTSIDE.values(), ids=OUTSIDE)
def test_nothing_is_stored_for_a_fit_lost_to_the_machine(field, which, action):
    sentence = r"^group 2: .*; nothing was stored for it; fix the cause \(memory, disk\) and run again; finished fits"
    with pytest.raises(UnblendError, match=sentence) as error:
        fit_batch(field, spec(), which, badly(action), [MOMENTS], workers=2)
    assert not isinstance(error.value, InputError)
    assert stored(field, which) == {"1": 1.0, "3": 1.0, "4": 1.0, "5": 1.0}
    # the next run fits it, and it alone
    done = []
    assert fit_batch(field, spec(), which, badly(lambda: done.append(1)), []) and stored(field, which)["2"] == 1.0


def test_a_fit_lost_once_is_fitted_in_a_new_worker(field, tmp_path):
    def action():
        if not (tmp_path / "mark").exists():
            (tmp_path / "mark").touch()
            die(signal.SIGKILL)

    fit_batch(field, spec(), "first", badly(action), [MOMENTS], workers=2)
    assert set(stored(field).values()) == {1.0}


def test_a_fit_that_waits_is_not_out_of_time(field):
    fit_batch(field, spec(0.2), "first", badly(lambda: time.sleep(0.8)), [MOMENTS])
    assert set(stored(field).values()) == {1.0}


def test_a_fit_out_of_processor_time_is_replaced_until_it_gets_more(field):
    fit_batch(field, spec(0.2), "first", badly(compute), [MOMENTS])
    assert stored(field) == {"1": 1.0, "2": 3.0, "3": 1.0, "4": 1.0, "5": 1.0}
    assert read_json(field.path("2", "first"))["timed_out_at_s"] == 0.2
    fit_batch(field, spec(0.1), "first", fail, [])
    fit_batch(field, spec(0.3), "first", lambda group: FITTED if group == "2" else fail(RuntimeError()), [])
    assert stored(field)["2"] == 1.0 and "timed_out_at_s" not in read_json(field.path("2", "first"))


def test_second_passes_follow_a_first_pass_that_got_more_time(field):
    fit_batch(field, spec(0.2), "first", badly(compute), [MOMENTS])
    fit_batch(field, spec(0.2), "second", lambda group: FITTED, [])
    fit_batch(field, spec(0.2), "second", fail, [])
    fit_batch(field, spec(0.3), "first", lambda group: FITTED, [])
    # 3 is a neighbour of 2
    again = Fallback("again", lambda group, timed_out: REPLACED)
    fit_batch(field, spec(0.3), "second", lambda group: fail(RuntimeError()), [again])
    assert stored(field, "second") == {"1": 1.0, "2": 2.0, "3": 2.0, "4": 1.0, "5": 1.0}


def test_fallbacks_are_tried_in_order(field, caplog, monkeypatch):
    monkeypatch.setattr(module, "MIN_FALLBACK_S", 0.3)
    crash = Fallback("the best", lambda group, timed_out: die(signal.SIGSEGV))
    slow = Fallback("the second", lambda group, timed_out: compute())
    fit_batch(field, spec(), "second", badly(lambda: die(signal.SIGSEGV)), [crash, slow, MOMENTS])
    assert stored(field, "second")["2"] == 2.0
    # a time limit has decided on the models
    assert read_json(field.path("2", "second"))["timed_out_at_s"] == 0.3
    assert "not possible: the best" in caplog.text and "not possible: the second" in caplog.text


def test_a_very_short_limit_is_enough_for_the_fallbacks(field):
    def fitted(group, timed_out):
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        return REPLACED

    fit_batch(field, spec(0.05), "second", badly(compute), [Fallback("slow", fitted)])
    assert stored(field, "second")["2"] == 2.0


def test_a_fallback_lost_to_the_machine_stores_nothing(field):
    full = Fallback("files", lambda group, timed_out: fail(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(UnblendError, match=r"group 2: OSError .*No space left on device; nothing was stored for it"):
        fit_batch(field, spec(), "second", badly(compute), [full, MOMENTS])
    assert "2" not in stored(field, "second")


def test_without_any_fallback_that_works_nothing_is_stored(field):
    broken = Fallback("broken", lambda group, timed_out: fail(ValueError("no pixels")))
    with pytest.raises(InputError, match=r"group 2: ValueError .* no pixels"):
        fit_batch(field, spec(), "second", badly(compute), [broken])
    assert "2" not in stored(field, "second")


@pytest.mark.parametrize("error", [InputError("a.fits is damaged."), ValueError("damaged.")])
def test_a_mistake_of_the_user_is_never_replaced(field, error):
    """An exception in a group with the user's files is taken for a mistake in these."""
    files = {"2": {"custom": {"file": "a.fits"}}} if isinstance(error, ValueError) else {}
    with pytest.raises(InputError, match=r"group 2: .*damaged\.$"):
        fit_batch(field, spec(of_2=files), "first", badly(lambda: fail(error)), [MOMENTS])
    assert stored(field) == {"1": 1.0, "3": 1.0, "4": 1.0, "5": 1.0}


def test_a_disk_that_fills_up_keeps_what_was_stored(field, monkeypatch):
    keep = FitField.keep

    def keep_until_full(self, group, *arguments):
        if group == "3":
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(self, group, *arguments)

    monkeypatch.setattr(FitField, "keep", keep_until_full)
    with pytest.raises(UnblendError, match=r"^group 3: its fit could not be written: .*No space left"):
        fit_batch(field, spec(), "first", lambda group: FITTED, [MOMENTS])
    assert stored(field) == {"1": 1.0, "2": 1.0, "4": 1.0, "5": 1.0}


def test_a_machine_that_loses_every_fit_is_given_up(field, monkeypatch):
    monkeypatch.setattr(module, "MAX_LOST", 2)
    with pytest.raises(UnblendError) as error:
        fit_batch(field, spec(), "first", lambda group: die(signal.SIGKILL), [MOMENTS])
    assert str(error.value).count("nothing was stored") == 2 and stored(field) == {}


def test_no_group_to_fit_reads_nothing(field, monkeypatch):
    fit_batch(field, spec(), "first", lambda group: FITTED, [])
    monkeypatch.setattr(FitField, "load", lambda self: fail(SimpleNamespace()))
    fit_batch(field, spec(), "first", fail, [])
