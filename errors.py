"""The errors that qasr raises on purpose: one line for a person, saying what is wrong and what to do."""

from __future__ import annotations


class QasrError(Exception):
    """Base of every error that qasr raises on purpose. Command-line tools print it as one line, without a traceback."""


class MissingExtraError(QasrError, ImportError):
    """A part that is not installed, with the pip line that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed; type: pip install 'qasr[{extra}]'")
        self.extra = extra


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type's name where the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def last_line(error: BaseException) -> str:
    """The last line of an exception's message, or its type's name where the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
