"""What is wrong with the configuration or the inputs is printed as its sentence, all else as Snakemake prints it."""

from __future__ import annotations

import io
import logging
from types import SimpleNamespace

import pytest
from unblend.run.mistakes import show_sentences

IN_RULE_FILE = (
    'WorkflowError in file "/a b/workflow/rules/common.smk", line 27:\n'
    "the input files have mistakes:\n  bands.ks.image: ks.fits does not exist.\n"
    '  File "/a b/workflow/rules/common.smk", line 27, in <module>\n'
)
IN_INPUT_FUNCTION = (
    'InputFunctionException in rule write_catalogue in file "/x/catalogue.smk", line 1:\nError:\n  WorkflowError:\n'
    "    another run is going on in results: wait for its end.\n    And a second line.\nWildcards:\n\nTraceback:\n"
    '  File "/x/common.smk", line 70, in job_spec\n'
)


@pytest.fixture
def printed():
    """Return a function that gives a message to a logger like Snakemake's and returns what is printed."""

    def show(message: str, *, verbose: bool = False) -> str:
        handler, logger = logging.StreamHandler(io.StringIO()), logging.Logger("like Snakemake's")
        handler.name = "DefaultStreamHandler"
        handler.addFilter(SimpleNamespace(verbose=verbose, filter=lambda record: True))
        logger.addHandler(handler)
        # a workflow may include this one twice
        show_sentences(logger)
        show_sentences(logger)
        logger.error(message)
        return handler.stream.getvalue()

    return show


def test_the_place_in_the_code_is_left_out(printed):
    sentence = "the input files have mistakes:\n  bands.ks.image: ks.fits does not exist."
    assert printed(IN_RULE_FILE) == f"\nunblend: {sentence}\n\n"
    sentence = "another run is going on in results: wait for its end.\nAnd a second line."
    assert printed(IN_INPUT_FUNCTION) == f"\nunblend: {sentence}\n\n"


def test_other_messages_and_verbose_output_are_those_of_snakemake(printed):
    other = 'WorkflowError in file "/x/workflow/rules/bands.smk", line 3:\nno such rule\n'
    assert printed(other) == f"{other}\n"
    assert printed(IN_RULE_FILE, verbose=True) == f"{IN_RULE_FILE}\n"


@pytest.mark.parametrize(
    "last",
    ["RuntimeError: can't start new thread", "MemoryError", "OSError: [Errno 28] No space left on device: '.snakemake'",
     "BlockingIOError: [Errno 11] Resource temporarily unavailable"],
)  # fmt: skip
def test_a_lack_of_something_is_a_sentence(printed, last):
    frames = 'Traceback (most recent call last):\n\n  File "/x/cli.py", line 2, in api\n    run()\n\n'
    said = printed(f"{frames}{last}\n\n")
    assert said.startswith("\nunblend: the machine gives this run no more memory") and f"({last})" in said
    assert "Traceback" not in said and "Finished work is kept" in said
    other = f"{frames}ValueError: a bug\n"
    assert printed(other) == f"{other}\n"
