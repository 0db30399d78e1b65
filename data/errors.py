"""Errors of data."""

from __future__ import annotations

from ..errors import QasrError


class DataError(QasrError, ValueError):
    """Audio or labels that cannot be used: the message names the file and line."""
