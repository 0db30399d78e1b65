"""What the bench raises."""

from __future__ import annotations

from ..errors import QasrError


class BenchError(QasrError):
    """A benchmark that cannot be done as asked."""


class DataError(BenchError):
    """An evaluation set that cannot be used: the message names the file and line."""


class ReportError(BenchError):
    """A report that cannot be read, or two that cannot be compared."""
