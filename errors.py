"""The errors that qasr raises on purpose: one line for a person, saying what is wrong and what to do."""

from __future__ import annotations


class QasrError(Exception):
    """Base of every error that qasr raises on purpose. Command-line tools print it as one line, without a traceback."""


class MissingExtraError(QasrError, ImportError):
    """A part that is not installed, with the pip line that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed; type: pip install 'qasr[{extra}]'")
        self.extra = extra
