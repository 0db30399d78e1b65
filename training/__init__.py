"""Quantization-aware training: a checkpoint in, the same checkpoint with trained schemes out."""

from __future__ import annotations

from .errors import DivergedError, TrainingError
from .options import SCHEMES, TrainingOptions

__all__ = ["SCHEMES", "DivergedError", "TrainingError", "TrainingOptions"]
