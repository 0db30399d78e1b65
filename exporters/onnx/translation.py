"""How each layer of the quantized model is written in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18 as op
from torch import Tensor, nn

FLOAT = 1


class KernelLinear(nn.Module):
    """A float Linear with its weight stored (in, out), as ONNX's MatMul takes it.

    torch stores (out, in), which would export as a Transpose of every weight, done again at each load.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().t().contiguous(), requires_grad=False)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in): (…, out)."""
        product = torch.matmul(input, self.weight)
        return product if self.bias is None else product + self.bias


def static_linear(
    input: Any, weight: Any, weight_scale: Any, input_scale: Any, input_zero_point: Any, bias: Any
) -> Any:
    """Quantize and dequantize around a MatMul, which every engine recognizes and fuses into an integer MatMul."""
    rounded = op.QuantizeLinear(input, input_scale, input_zero_point)
    restored = op.DequantizeLinear(rounded, input_scale, input_zero_point)
    return op.Add(op.MatMul(restored, op.DequantizeLinear(weight, weight_scale, axis=1)), bias)


def dynamic_linear(input: Any, weight: Any, weight_scale: Any, bias: Any) -> Any:
    """The operators that ONNX Runtime fuses into DynamicQuantizeMatMul, and that ARM builds have too."""
    rounded, scale, zero_point = op.DynamicQuantizeLinear(input)
    product = op.Cast(op.MatMulInteger(rounded, weight, zero_point), to=FLOAT)
    return op.Add(op.Mul(product, op.Mul(scale, weight_scale)), bias)


def weight_only_linear(input: Any, weight: Any, weight_scale: Any, bias: Any) -> Any:
    """Weights dequantized before a float MatMul."""
    return op.Add(op.MatMul(input, op.DequantizeLinear(weight, weight_scale, axis=1)), bias)


def table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of qasr's own operators, for ``torch.onnx.export(custom_translation_table=...)``."""
    return {
        torch.ops.qasr.static_linear.default: static_linear,
        torch.ops.qasr.dynamic_linear.default: dynamic_linear,
        torch.ops.qasr.weight_only_linear.default: weight_only_linear,
    }
