"""Checkpoints, and the exact rewrites that make them deployable."""

from __future__ import annotations

from .architecture import Architecture, Fold, StockLayer
from .checkpoint import RANDOM_FULL, REFERENCE, TRAINED_FILE, TRAINING_FILE, Checkpoint, open_checkpoint
from .ctc import CTCModel
from .errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError

__all__ = [
    "RANDOM_FULL",
    "REFERENCE",
    "TRAINED_FILE",
    "TRAINING_FILE",
    "Architecture",
    "CTCModel",
    "Checkpoint",
    "CheckpointError",
    "CheckpointNotFoundError",
    "Fold",
    "StockLayer",
    "UnsupportedModelError",
    "open_checkpoint",
]
