"""What can be wrong with a checkpoint; each message names the path and what to do."""

from __future__ import annotations

from ..errors import QasrError


class CheckpointError(QasrError):
    """A checkpoint that cannot be loaded."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """No checkpoint at the given path."""


class UnsupportedModelError(CheckpointError):
    """A sound checkpoint of a model that qasr does not deploy."""
