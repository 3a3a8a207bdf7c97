"""What is wrong with the configuration, the inputs, the results folder or the machine, shown as its sentence alone.

Snakemake prints an error that a rule file raises together with the place in the code where it was raised, and its own
errors as tracebacks.
"""

from __future__ import annotations

import errno
import logging
import re
import textwrap

_LACKING = (errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.ENOSPC, errno.EDQUOT)
_IN_RULE_FILE = re.compile(
    r'(?s)WorkflowError in file "[^\n]*\b(?:library|common)\.smk", line \d+:\n(?P<text>.*?)'
    r'(?:\n  File "[^\n]*", line \d+, in [^\n]*)*\s*$'
)
"""Snakemake's message about a mistake that was found while the configuration and the inputs were read."""
_IN_INPUT_FUNCTION = re.compile(
    r"(?s)InputFunctionException in rule .*?\n *WorkflowError:\n(?P<text>.*?)\n *Wildcards:"
)
"""The same as a run begins or is planned."""

_OF_THE_MACHINE = re.compile(
    r"(?s)\s*Traceback .*\n\s*(?P<text>MemoryError[^\n]*|RuntimeError: can't start new thread|"
    rf"\w*Error: \[Errno (?:{'|'.join(str(number) for number in _LACKING)})\][^\n]*)\s*"
)
"""Snakemake's own traceback where the machine gives it no more of something."""


def sentence_of(message: str) -> str | None:
    """Return the sentence in a message of Snakemake about such a mistake; None if the message is another one."""
    lack = _OF_THE_MACHINE.fullmatch(message)
    if lack is not None:
        return (
            f"the machine gives this run no more memory, threads, open files or disk space ({lack['text'].strip()}). "
            "Finished work is kept: allow more (ulimit -a shows some of the limits), or run fewer jobs at a time "
            "(--cores), and run again."
        )
    found = _IN_RULE_FILE.match(message) or _IN_INPUT_FUNCTION.match(message)
    return textwrap.dedent(found["text"]).strip() if found else None


def show_sentences(logger: logging.Logger) -> None:
    """Let Snakemake's own handler print the sentence in place of such a message, except with --verbose.

    The message as it was is in Snakemake's log file.
    """
    for handler in logger.handlers:
        if handler.name != "DefaultStreamHandler" or any(getattr(f, "verbose", False) for f in handler.filters):
            continue
        if not any(isinstance(f, _Sentences) for f in handler.filters):
            handler.addFilter(_Sentences(handler))


class _Sentences(logging.Filter):
    """Filter of a handler that prints the sentence of a mistake itself."""

    def __init__(self, handler: logging.Handler):
        super().__init__()
        self.handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        sentence = sentence_of(str(record.msg))
        if sentence is None:
            return True
        stream = getattr(self.handler, "stream", None)
        if stream is None:
            return True
        # the line of the progress display may be there
        stream.write(("\r\x1b[K" if stream.isatty() else "") + f"\nunblend: {sentence}\n\n")
        stream.flush()
        return False
