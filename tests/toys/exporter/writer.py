"""The common ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...artifacts import Precision
from ...models import Checkpoint, CTCModel
from ..onnx import writer as onnx
from ..target import Target


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``model.onnx``."""
    layers = onnx.quantized_layers(model)
    return onnx.save(onnx.trace(model), target, layers, folder)


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Products of integers."""
    return kernels.get("MatMulInteger", 0)
