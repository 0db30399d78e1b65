"""Errors of training."""

from __future__ import annotations

from ..errors import QasrError


class TrainingError(QasrError):
    """Options or data that a training cannot work with."""


class DivergedError(TrainingError):
    """The loss is infinite or not a number; the last good state is kept."""
