"""Helpers of journals and ledgers, which keep results between runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from torch import nn

from .errors import QuantizationError


def model_hash(model: nn.Module) -> str:
    """SHA-256 over all that decides the output of a float model: its modules with their settings, and every tensor."""
    hashed = hashlib.sha256(repr(model).encode())
    for name, value in model.state_dict().items():
        hashed.update(name.encode())
        hashed.update(value.detach().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def make_folder(folder: Path) -> None:
    """Create a folder to keep results in. Raises QuantizationError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuantizationError(f"{folder}: cannot be written ({error.strerror}); choose another --journal") from None
    if not os.access(folder, os.W_OK):
        raise QuantizationError(f"{folder}: cannot be written; choose another --journal")
