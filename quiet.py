"""Silence for libraries that report every step."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator


def silence(*loggers: str) -> None:
    """Nothing below an error from these loggers for the rest of the process."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet(*loggers: str, stdout: bool = False) -> Iterator[None]:
    """Within, no warnings, and nothing below an error from the named loggers and the loggers under them.

    ``stdout`` also silences the standard output, that of native code included.
    """
    drop = _BelowError(loggers)
    handlers = [*logging.root.handlers, *([logging.lastResort] if logging.lastResort else [])]
    named = [logging.getLogger(name) for name in loggers]
    disabled = [logger.level for logger in named]
    try:
        for handler in handlers:
            handler.addFilter(drop)
        for logger in named:
            logger.addFilter(drop)
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), _no_stdout() if stdout else contextlib.nullcontext():
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(drop)
        for logger, level in zip(named, disabled, strict=True):
            logger.removeFilter(drop)
            logger.setLevel(level)


class _BelowError(logging.Filter):
    """Drops records below an error; libraries that set a logger's level again do not get around it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    def filter(self, record: logging.LogRecord) -> bool:
        inside = any(f"{record.name}.".startswith(f"{name}.") for name in self._names)
        return record.levelno >= logging.ERROR or not inside


@contextlib.contextmanager
def _no_stdout() -> Iterator[None]:
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
