"""How a model is traced: example inputs, and which of their dimensions are dynamic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..models import CTCModel

_BATCH = 2


def example_inputs(model: CTCModel) -> tuple[Tensor, Tensor]:
    """Inputs and lengths of two clips, the second shorter."""
    return model.example_inputs(_BATCH, model.example_frames)


def dynamic_shapes(model: CTCModel) -> dict[str, Any]:
    """Batch and time, for ``torch.export`` and ``torch.onnx.export``."""
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    frames = torch.export.Dim("frames", min=model.fewest_dynamic_frames, max=1 << 26)
    return {"inputs": {0: batch, 1: frames}, "lengths": {0: batch}}
