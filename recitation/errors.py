"""Errors of recitation."""

from __future__ import annotations

from ..errors import QasrError


class VersesError(QasrError, ValueError):
    """Verses that do not exist, or that have no recording."""
