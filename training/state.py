"""Files of a training's state, written atomically."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ..errors import first_line
from .errors import TrainingError


def save(content: Any, path: Path) -> None:
    """Write ``content`` to ``path``. Raises TrainingError where that fails."""
    partial = path.with_suffix(".partial")
    try:
        torch.save(content, partial)
    except RuntimeError as error:  # torch's exception for a full disk
        raise TrainingError(f"{path}: cannot be written ({first_line(error)})") from None
    partial.replace(path)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """The content of ``path``, which runs no code. Raises TrainingError for a damaged file."""
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, UnpicklingError) as error:
        raise TrainingError(f"{path}: not a sound state ({first_line(error)}); leave --resume out") from None
    return content
