"""What layers cost in ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from ..mixed.timing import median_seconds
from ..target import Target
from .writer import export_layer

# Names, shapes and nodes, measured on artifacts of the bundled model.
_BLOCK_BYTES, _REST_BYTES = 17_000, 15_000


def graph_bytes(*, compiled: bool) -> tuple[int, int]:
    """Bytes beside the weights: for each block of the model, and for all the rest."""
    return _BLOCK_BYTES, _REST_BYTES


def library() -> str:
    """What times depend on."""
    return "onnxruntime"


def seconds(target: Target, layer: nn.Module, rows: torch.Tensor) -> float:
    """Median time of ``layer`` on ``rows`` (1, frames, inputs)."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        path = Path(scratch) / "layer.onnx"
        export_layer(layer, rows, path)
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return median_seconds(lambda: session.run(None, {name: rows.numpy()}))
