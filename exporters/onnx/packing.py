"""Layers with low-bit weights in the layout of ONNX Runtime's MatMulNBits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...gpu.layout import pack
from ...quantizers.layers.grouped import GroupedLinear


class PackedLinear(nn.Module):
    """A GroupedLinear as MatMulNBits takes it.

    ``packed`` (out, groups, group · bits / 8) uint8, ``scale`` (out · groups,) float16, ``zero_point`` (out · ⌈groups ·
    bits / 8⌉,) uint8, or (out · groups,) float16, or empty where the scheme is symmetric, ``bias`` (out,) float32.
    """

    packed: Tensor
    scale: Tensor
    zero_point: Tensor
    bias: Tensor

    def __init__(self, layer: GroupedLinear) -> None:
        super().__init__()
        scheme = layer.scheme.weight
        out, groups = layer.scale.shape
        self.bits, self.group_size, self.inputs = scheme.bits, scheme.group_size or 0, layer.codes.shape[1]
        self.rounded_input = layer.scheme.activation.mode == "grouped"
        if scheme.float_zero_points:
            zero_point = layer.zero_point.half()
        else:
            zero_point = torch.empty(0, dtype=torch.uint8) if scheme.symmetric else pack(layer.zero_point, scheme.bits)
        self.register_buffer("packed", pack(layer.codes.view(out, groups, -1), scheme.bits))
        self.register_buffer("scale", layer.scale.half().flatten())
        self.register_buffer("zero_point", zero_point.flatten())
        self.register_buffer("bias", layer.bias)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32, in a traced graph only."""
        # The middle of the codes is what the operator takes where it gets no zero points.
        zero_point = [self.zero_point] if self.zero_point.numel() else []
        if self.zero_point.dtype == torch.float16:
            zero_point = [self.zero_point.float()]
        product = torch.onnx.ops.symbolic(
            "com.microsoft::MatMulNBits",
            [input, self.packed, self.scale.float(), *zero_point],
            {
                "K": self.inputs,
                "N": self.bias.shape[0],
                "bits": self.bits,
                "block_size": self.group_size,
                # Level 4 rounds the input to int8, symmetrically, group by group.
                "accuracy_level": 4 if self.rounded_input else 0,
            },
            dtype=torch.float32,
            shape=(*input.shape[:-1], self.bias.shape[0]),
            version=1,
        )
        return product + self.bias
