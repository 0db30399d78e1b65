"""What the bench raises."""

from __future__ import annotations

from ..errors import QasrError


class BenchError(QasrError):
    """A benchmark that cannot be done as asked."""


class ReportError(BenchError):
    """A report that cannot be read, or two that cannot be compared."""
