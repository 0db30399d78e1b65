"""Errors of the bench."""

from __future__ import annotations

from ..errors import QasrError


class BenchError(QasrError):
    """A benchmark that cannot be run as requested."""


class ReportError(BenchError):
    """A report that cannot be read, or two that cannot be compared."""
