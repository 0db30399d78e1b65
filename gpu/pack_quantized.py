"""Layers that transformers has loaded from compressed-tensors' pack-quantized format."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Make(Protocol):
    """Makes the layer that replaces a pack-quantized one."""

    def __call__(self, packed: Tensor, scale: Tensor, bias: Tensor | None, *, bits: int) -> nn.Module:
        """``packed`` (N, K · bits / 8) uint8, lowest bits first, ``scale`` (N, groups), ``bias`` (N,)."""


def replace_packed(model: nn.Module, make: Make) -> int:
    """Replace the pack-quantized layers of ``model`` (symmetric, 4 or 2 bits), packed as they are; return how many."""
    layers: list[tuple[str, Any]] = [
        (name, module) for name, module in model.named_modules() if hasattr(module, "weight_packed")
    ]
    for name, layer in layers:
        bits = layer.quantization_scheme.weights.num_bits
        packed = layer.weight_packed.data.view(torch.uint8)
        bias = None if layer.bias is None else layer.bias.data
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, make(packed, layer.weight_scale.data, bias, bits=bits))
    return len(layers)
