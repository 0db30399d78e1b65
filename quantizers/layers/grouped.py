"""Linear layers with low-bit codes as weights, and a scale and a zero point for every group of inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..scheme import Scheme, WeightScheme
from . import operators as ops


class GroupedLinear(nn.Module):
    """weight[o, i] = (codes[o, i] − zero_point[o, i // group]) · scale[o, i // group].

    ``codes`` (out, in) uint8 in [0, 2^bits). ``scale`` (out, in / group) float32, with values that fp16 represents
    exactly. ``zero_point`` (out, in / group): uint8 codes, 2^(bits − 1) everywhere in symmetric schemes, or float32
    that fp16 represents exactly in schemes with float zero points. ``bias`` (out,) float32. With the activation
    ``grouped``, the input is rounded to int8, symmetrically, by group of every frame.
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor
    bias: Tensor

    def __init__(
        self,
        codes: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        bias: Tensor | None,
        weight: WeightScheme,
    ) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        self.register_buffer("bias", torch.zeros(codes.shape[0]) if bias is None else bias.detach().clone())
        self.scheme = Scheme(weight)

    @property
    def weight(self) -> Tensor:
        """(out, in) float32."""
        return ops.grouped_weight(self.codes, self.scale, self.zero_point)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        values = ops.round_by_group(input, self.scale.shape[1]) if self.scheme.activation.mode == "grouped" else input
        return nn.functional.linear(values, self.weight, self.bias)
