"""Checkpoints, and the exact rewrites that make them deployable."""

from __future__ import annotations

from .checkpoint import RANDOM_FULL, REFERENCE, TRAINED_FILE, TRAINING_FILE, Checkpoint, open_checkpoint
from .errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError
from .wav2vec2_bert.model import DeployableCTC, deployable

__all__ = [
    "RANDOM_FULL",
    "REFERENCE",
    "TRAINED_FILE",
    "TRAINING_FILE",
    "Checkpoint",
    "CheckpointError",
    "CheckpointNotFoundError",
    "DeployableCTC",
    "UnsupportedModelError",
    "deployable",
    "open_checkpoint",
]
