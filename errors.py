"""Errors that qasr raises on purpose: one line that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class QasrError(Exception):
    """Base of all errors that qasr raises on purpose. Commands print them as one line, without a traceback."""


class MissingExtraError(QasrError, ImportError):
    """A library that is not installed. The message has the pip command that installs it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; type: pip install 'qasr[{extra}]'")
        self.library = library
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.library, self.extra)


def first_line(error: object) -> str:
    """First line of an error's text, for libraries that print traces after it; the error's type if it has no text."""
    return next(_lines(error), type(error).__name__)


def last_line(error: object) -> str:
    """Last line of an error's text, for libraries that print traces before it; the error's type if it has no text."""
    return ([type(error).__name__, *_lines(error)])[-1]


def _lines(error: object) -> Iterator[str]:
    return (line.strip() for line in str(error).splitlines() if line.strip())
