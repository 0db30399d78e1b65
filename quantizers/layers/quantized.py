"""Linear layers with a scheme, which compute exactly as the scheme defines."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..scheme import ActivationScheme, Scheme, WeightScheme
from . import operators as ops


@runtime_checkable
class Quantized(Protocol):
    """A layer with a scheme."""

    scheme: Scheme


Range = tuple[float, float]
"""Lowest and highest value of an activation."""


class _Int8Linear(nn.Module):
    """Base of int8 layers: ``weight`` (in, out) int8, ``weight_scale`` (out,) and ``bias`` (out,) float32."""

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
    """int8 weights; the input, and the output where its range is given, are rounded to uint8 by fixed ranges."""

    input_scale: Tensor
    input_zero_point: Tensor
    output_scale: Tensor | None
    output_zero_point: Tensor | None

    def __init__(self, linear: nn.Linear, input_range: Range, output_range: Range | None = None) -> None:
        super().__init__(linear)
        scale, zero_point = _scale_and_zero_point(input_range)
        self.register_buffer("input_scale", scale)
        self.register_buffer("input_zero_point", zero_point)
        output_scale, output_zero_point = _scale_and_zero_point(output_range) if output_range else (None, None)
        self.register_buffer("output_scale", output_scale)
        self.register_buffer("output_zero_point", output_zero_point)
        output = ActivationScheme("none" if output_range is None else "static")
        self.scheme = Scheme(WeightScheme(), ActivationScheme("static"), output)

    @classmethod
    def of(
        cls, integers: Tensor, weight_scale: Tensor, bias: Tensor | None, input_scale: float, input_zero_point: int
    ) -> StaticLinear:
        """A layer with integers (out, in) int8, scales (out,) and a rounding of its input that were fixed elsewhere."""
        layer = cls(nn.Linear(integers.shape[1], integers.shape[0]), (0.0, 1.0))
        layer.weight = integers.t().contiguous()
        layer.weight_scale = weight_scale.float()
        layer.bias = torch.zeros(integers.shape[0]) if bias is None else bias.clone()
        layer.input_scale = torch.tensor(input_scale, dtype=torch.float32)
        layer.input_zero_point = torch.tensor(input_zero_point, dtype=torch.uint8)
        return layer

    def round_output(self, scale: float, zero_point: int) -> None:
        """Round the output too, by a scale and zero point that were fixed elsewhere."""
        self.output_scale = torch.tensor(scale, dtype=torch.float32)
        self.output_zero_point = torch.tensor(zero_point, dtype=torch.uint8)
        self.scheme = replace(self.scheme, output=ActivationScheme("static"))

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        result = ops.static_linear(
            input, self.weight, self.weight_scale, self.input_scale, self.input_zero_point, self.bias
        )
        if self.output_scale is None or self.output_zero_point is None:
            return result  # type: ignore[no-any-return]
        return ops.round_activation(result, self.output_scale, self.output_zero_point)


class Fp8Linear(nn.Module):
    """Weights and input are floats of 8 bits (E4M3), with a scale per output channel and a fixed one.

    ``codes`` (in, out) uint8 stores the bits of the weights, so that a change of the model's type keeps them;
    ``weight_scale`` (out,), ``input_scale`` () and ``bias`` (out,) float32.
    """

    codes: Tensor
    weight_scale: Tensor
    input_scale: Tensor
    bias: Tensor
    scheme = Scheme(WeightScheme(8, values="e4m3"), ActivationScheme("static", values="e4m3"))

    def __init__(self, linear: nn.Linear, input_range: Range) -> None:
        super().__init__()
        weight = linear.weight.detach().t()
        scale = weight.abs().amax(dim=0).clamp_min(torch.finfo(torch.float32).tiny * ops.E4M3_MAX) / ops.E4M3_MAX
        largest = max(abs(limit) for limit in input_range)
        bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("codes", ops.to_e4m3(weight / scale).contiguous().view(torch.uint8))
        self.register_buffer("weight_scale", scale)
        self.register_buffer("input_scale", torch.tensor(largest / ops.E4M3_MAX or 1.0, dtype=torch.float32))
        self.register_buffer("bias", bias)

    @property
    def weight(self) -> Tensor:
        """(in, out) float8_e4m3fn, without its scale."""
        return self.codes.view(torch.float8_e4m3fn)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in): (…, out) in the type of the input; sums are float32."""
        scale = self.input_scale.float()
        rounded = ops.to_e4m3(input.float() / scale).float() * scale
        product = torch.matmul(rounded, self.weight.float() * self.weight_scale.float())
        return (product + self.bias.float()).to(input.dtype)


class WeightOnlyLinear(_Int8Linear):
    """int8 weights, converted to float before the product; the input is not rounded."""

    scheme = Scheme(WeightScheme())

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        return ops.weight_only_linear(input, self.weight, self.weight_scale, self.bias)  # type: ignore[no-any-return]


def _scale_and_zero_point(limits: Range) -> tuple[Tensor, Tensor]:
    scale, zero_point = ops.activation_range(*limits)
    return torch.tensor(scale, dtype=torch.float32), torch.tensor(zero_point, dtype=torch.uint8)
