"""Linear layers that carry a scheme and compute exactly what it says."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from . import ops
from .scheme import ActivationScheme, Scheme, WeightScheme


@runtime_checkable
class Quantized(Protocol):
    """A layer with a scheme."""

    scheme: Scheme


class _Int8Linear(nn.Module):
    """What both forms share: ``weight`` (in, out) int8, ``weight_scale`` (out,) and ``bias`` (out,) float32."""

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = ops.quantize_weight(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("weight_scale", scale)
        bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias)


class DynamicLinear(_Int8Linear):
    """int8 weights; the input is rounded to uint8 by its own range."""

    scheme = Scheme(WeightScheme(), ActivationScheme("dynamic"))

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        return ops.dynamic_linear(input, self.weight, self.weight_scale, self.bias)  # type: ignore[no-any-return]


class StaticLinear(_Int8Linear):
    """int8 weights; the input is rounded to uint8 by a range fixed before."""

    scheme = Scheme(WeightScheme(), ActivationScheme("static"))
    input_scale: Tensor
    input_zero_point: Tensor

    def __init__(self, linear: nn.Linear, input_low: float, input_high: float) -> None:
        super().__init__(linear)
        scale, zero_point = ops.activation_range(input_low, input_high)
        self.register_buffer("input_scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("input_zero_point", torch.tensor(zero_point, dtype=torch.uint8))

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        return ops.static_linear(  # type: ignore[no-any-return]
            input, self.weight, self.weight_scale, self.input_scale, self.input_zero_point, self.bias
        )
