"""A linear layer that computes with packed weights on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .nbits_matmul import nbits_matmul


class NBitsLinear(nn.Module):
    """x · Wᵀ + bias by ``nbits_matmul``, whose arguments its buffers are."""

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
    """Replace the layers of a model that transformers loaded from a pack-quantized checkpoint, before they unpack.

    The rest of the model becomes ``dtype``. Returns how many layers were replaced. Symmetric schemes of 4 or 2 bits.
    """
    layers: list[tuple[str, Any]] = [
        (name, module) for name, module in model.named_modules() if hasattr(module, "weight_packed")
    ]
    for name, layer in layers:
        bits = layer.quantization_scheme.weights.num_bits
        packed = layer.weight_packed.data.view(torch.uint8)
        bias = None if layer.bias is None else layer.bias.data
        replacement = NBitsLinear(packed, layer.weight_scale.data, None, bias, bits=bits)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, replacement)
    model.to(dtype)
    return len(layers)
