"""Engines to build for: a quantized model in, a verified artifact out."""

from __future__ import annotations

from .errors import DataError, ExportError, ParityError, UnknownTargetError
from .pipeline import ExportOptions, Progress, Silent, export
from .targets import TARGETS, Target, find

__all__ = [
    "TARGETS",
    "DataError",
    "ExportError",
    "ExportOptions",
    "ParityError",
    "Progress",
    "Silent",
    "Target",
    "UnknownTargetError",
    "export",
    "find",
]
