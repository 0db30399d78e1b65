"""The computation of quantized layers, as operators that torch.export does not decompose and each exporter translates.

Rounding is half to even and saturating, as ONNX defines QuantizeLinear and DynamicQuantizeLinear.
"""

from __future__ import annotations

import torch
from torch import Tensor

UINT8_MAX = 255
INT8_MAX = 127
E4M3_MAX = 448.0
"""Largest float of 8 bits with 4 bits of exponent, in the variant without infinities (Micikevicius et al. 2022,
arXiv:2209.05433)."""


def weight_scale(weight: Tensor) -> Tensor:
    """The step (out,) with which the largest weight of each output channel of (out, in) is 127."""
    return weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny * INT8_MAX) / INT8_MAX


def symmetric_range(low: float, high: float) -> tuple[float, float]:
    """The range widened until uint8's zero point is 128: the same integers less 128 are int8 with a zero point of 0."""
    largest = max(abs(low), abs(high))
    return -largest * (INT8_MAX + 1) / INT8_MAX, largest


def quantize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 per output channel of a (out, in) weight: integers (in, out) int8 and scales (out,) float32.

    The integers are transposed, the layout in which integer matrix multiplications take them. −128 is not used, so
    that the range is symmetric.
    """
    scale = weight_scale(weight)
    integers = torch.round(weight / scale[:, None]).clamp_(-INT8_MAX, INT8_MAX).to(torch.int8)
    return integers.t().contiguous(), scale


def activation_range(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of uint8 for values in [low, high], which is widened so that 0 is exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / UINT8_MAX or 1.0
    return scale, max(0, min(UINT8_MAX, round(-low / scale)))


def round_activation(values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """``values`` rounded to uint8 by a fixed scale () and zero point (), as float32."""
    integers = torch.clamp(torch.round(values / scale) + zero_point.to(torch.float32), 0, UINT8_MAX)
    return (integers - zero_point.to(torch.float32)) * scale


@torch.library.custom_op("qasr::static_linear", mutates_args=())
def static_linear(
    input: Tensor, weight: Tensor, weight_scale: Tensor, input_scale: Tensor, input_zero_point: Tensor, bias: Tensor
) -> Tensor:
    """Linear on an input rounded to uint8 by a fixed scale () and zero point () and int8 weights (in, out)."""
    # Where the model is float16, its engine rounds and adds in float32 nevertheless.
    rounded = round_activation(input.float(), input_scale.float(), input_zero_point)
    return (torch.matmul(rounded, weight.float() * weight_scale.float()) + bias.float()).to(input.dtype)


@static_linear.register_fake
def _(
    input: Tensor, weight: Tensor, weight_scale: Tensor, input_scale: Tensor, input_zero_point: Tensor, bias: Tensor
) -> Tensor:
    return input.new_empty((*input.shape[:-1], weight.shape[1]))


def to_e4m3(values: Tensor) -> Tensor:
    """The nearest floats of 8 bits, half to even; larger values become the largest, as QuantizeLinear saturates."""
    return values.clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn)


@torch.library.custom_op("qasr::dynamic_linear", mutates_args=())
def dynamic_linear(input: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor) -> Tensor:
    """Linear on an input rounded to uint8 by its own range (one for the whole tensor) and int8 weights (in, out)."""
    low, high = input.min().clamp_max(0.0), input.max().clamp_min(0.0)
    scale = (high - low) / UINT8_MAX
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero_point = torch.clamp(torch.round(-low / scale), 0, UINT8_MAX)
    rounded = round_activation(input, scale, zero_point)
    return torch.matmul(rounded, weight.to(torch.float32) * weight_scale) + bias


@dynamic_linear.register_fake
def _(input: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor) -> Tensor:
    return input.new_empty((*input.shape[:-1], weight.shape[1]))


@torch.library.custom_op("qasr::weight_only_linear", mutates_args=())
def weight_only_linear(input: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor) -> Tensor:
    """Linear with int8 weights (in, out) that are widened to float."""
    return torch.matmul(input, weight.to(torch.float32) * weight_scale) + bias


@weight_only_linear.register_fake
def _(input: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor) -> Tensor:
    return input.new_empty((*input.shape[:-1], weight.shape[1]))


def grouped_weight(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """The (out, in) float32 weight of codes (out, in) uint8 with a scale and a zero point (out, groups) each."""
    groups = scale.shape[1]
    centred = codes.view(codes.shape[0], groups, -1).to(torch.float32) - zero_point.to(torch.float32)[:, :, None]
    return (centred * scale[:, :, None]).view(codes.shape)


def round_by_group(values: Tensor, groups: int) -> Tensor:
    """``values`` (…, in) rounded to int8 in [−127, 127] by the largest magnitude in each of ``groups`` stretches."""
    parts = values.reshape(*values.shape[:-1], groups, -1)
    scale = parts.abs().amax(dim=-1, keepdim=True) / INT8_MAX
    # A stretch of nothing but zeros stays so.
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1.0 / scale)
    return (torch.round(parts * inverse) * scale).reshape(values.shape)
