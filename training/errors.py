"""What can go wrong in a training."""

from __future__ import annotations

from ..errors import QasrError


class TrainingError(QasrError):
    """Options or data with which nothing can be trained."""


class DivergedError(TrainingError):
    """The loss is no number any more; the last good state is kept."""
