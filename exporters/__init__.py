"""Engines to build for: a quantized model in, a verified artifact out. ``pipeline.export`` does it all.

The table of targets can be read where torch is not installed; ``pipeline`` needs it.
"""

from __future__ import annotations

from .errors import ExportError, ParityError, UnknownTargetError
from .target import Target
from .targets import TARGETS, find

__all__ = ["TARGETS", "ExportError", "ParityError", "Target", "UnknownTargetError", "find"]
