"""Quantization-aware training of a checkpoint; the result is a checkpoint with trained schemes."""

from __future__ import annotations

from .errors import DivergedError, TrainingError
from .options import SCHEMES, TrainingOptions

__all__ = ["SCHEMES", "DivergedError", "TrainingError", "TrainingOptions"]
