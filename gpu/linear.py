"""A linear layer that computes with packed weights on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .nbits_matmul import nbits_matmul
from .pack_quantized import replace_packed


class NBitsLinear(nn.Module):
    """x · Wᵀ + bias by ``nbits_matmul``; the buffers are its arguments."""

    packed: Tensor
    scale: Tensor
    zero_point: Tensor | None
    bias: Tensor | None

    def __init__(
        self, packed: Tensor, scale: Tensor, zero_point: Tensor | None = None, bias: Tensor | None = None, *, bits: int
    ) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (…, K) in the type of the scales: (…, N)."""
        return nbits_matmul(x, self.packed, self.scale, self.zero_point, self.bias, bits=self.bits)


def take_packed_weights(model: nn.Module, dtype: torch.dtype) -> int:
    """Replace pack-quantized layers by NBitsLinear, convert the rest to ``dtype``, and return the number of layers."""

    def make(packed: Tensor, scale: Tensor, bias: Tensor | None, *, bits: int) -> NBitsLinear:
        return NBitsLinear(packed, scale, None, bias, bits=bits)

    replaced = replace_packed(model, make)
    model.to(dtype)
    return replaced
