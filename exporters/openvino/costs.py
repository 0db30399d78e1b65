"""What layers cost in OpenVINO's CPU plugin."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from ..mixed.timing import median_seconds
from ..onnx.writer import export_layer
from ..target import Target
from . import rewrites

# Names, shapes and nodes, measured on artifacts of the bundled model.
_BLOCK_BYTES, _REST_BYTES = 140_000, 40_000


def graph_bytes(*, compiled: bool) -> tuple[int, int]:
    """Bytes beside the weights: for each block of the model, and for all the rest."""
    return _BLOCK_BYTES, _REST_BYTES


def library() -> str:
    """What times depend on."""
    return "openvino"


def seconds(target: Target, layer: nn.Module, rows: torch.Tensor) -> float:
    """Median time of ``layer`` on ``rows`` (1, frames, inputs)."""
    import openvino as ov

    core = ov.Core()
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        path = Path(scratch) / "layer.onnx"
        export_layer(layer, rows, path)
        model = core.read_model(path)
        rewrites.weights_by_output(model)
        hint = "bf16" if target.execution.get("precision") == "bf16" else "f32"
        compiled = core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
        )
        return median_seconds(lambda: compiled([rows.numpy()]))
