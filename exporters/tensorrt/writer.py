"""TensorRT: the typed Q/DQ graph, from which ``compiler`` builds the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...artifacts import Precision
from ...models import Checkpoint, CTCModel
from ..onnx import writer as onnx
from ..target import Target
from .read_back import eight_bit_products
from .typed_qdq import typed_graph


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``model.onnx``: float16 with Q/DQ, the inputs and outputs of every target.

    The model is consumed. Raises ExportError for a scheme that the engine cannot express.
    """
    layers = onnx.quantized_layers(model)
    return onnx.save(typed_graph(model), target, layers, folder)


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Products both of whose operands have 8 bits, as the engine's plan has them."""
    return eight_bit_products(kernels)
