"""The ONNX graph with every type written out, as strongly typed engines take it: float16, and Q/DQ where it is less.

QuantizeLinear and DequantizeLinear of opset 19 know float16 and float8; weights are stored as integers or floats of 8
bits. All is symmetric: zero points are 0.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from ...models import CTCModel
from ...quantizers.layers.quantized import Fp8Linear, Quantized, StaticLinear
from ...quantizers.layers.rewrite import replace
from ..errors import ExportError
from ..onnx import writer as onnx

_OPSET = 19
_MIDDLE = 128


def typed_graph(model: CTCModel) -> ir.Model:
    """The graph of a model in float16; the model is narrowed to it, and its layers are replaced, on the way.

    Raises ExportError for a scheme that is not symmetric, or of a kind that the engines do not know.
    """
    for name, module in list(model.half().named_modules()):
        if isinstance(module, Quantized):
            replace(model, name, TypedLinear(name, module))
    graph = onnx.trace(model)
    # Of the operators in use, those of 19 only know more types than those of 18.
    graph.graph.opset_imports[""] = _OPSET
    return graph


class TypedLinear(nn.Module):
    """A quantized layer as Q/DQ around a float16 product.

    ``weight`` (in, out) int8 or float8_e4m3fn, ``zero`` () of the same type; ``weight_scale`` (out,), ``input_scale``
    () and ``bias`` (out,) float16.
    """

    weight: Tensor
    zero: Tensor
    weight_scale: Tensor
    input_scale: Tensor
    bias: Tensor

    def __init__(self, name: str, layer: Any) -> None:
        super().__init__()
        if isinstance(layer, StaticLinear):
            if int(layer.input_zero_point) != _MIDDLE or layer.output_scale is not None:
                raise ExportError(f"{name}: the engine takes symmetric inputs and float outputs, not {layer.scheme}")
        elif not isinstance(layer, Fp8Linear):
            raise ExportError(f"{name}: the engine cannot express {layer.scheme}")
        self.register_buffer("weight", layer.weight)
        self.register_buffer("zero", torch.zeros((), dtype=layer.weight.dtype))
        for part in ("weight_scale", "input_scale", "bias"):
            self.register_buffer(part, getattr(layer, part).half())

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float16: (…, out) float16, in a traced graph only."""
        scaled = [self.input_scale, self.zero]
        rounded = _node("QuantizeLinear", [input, *scaled], {}, self.weight.dtype, input.shape)
        restored = _node("DequantizeLinear", [rounded, *scaled], {}, torch.float16, input.shape)
        weight = _node(
            "DequantizeLinear", [self.weight, self.weight_scale], {"axis": 1}, torch.float16, self.weight.shape
        )
        return torch.matmul(restored, weight) + self.bias


def _node(kind: str, inputs: list[Tensor], attributes: dict[str, Any], dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.onnx.ops.symbolic(kind, inputs, attributes, dtype=dtype, shape=shape, version=_OPSET)
