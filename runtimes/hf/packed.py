"""Linear layers whose weights of few bits stay packed in memory on a CPU, and are widened for each product.

torch has a kernel for such weights, ``_weight_int4pack_mm_for_cpu``. With the 500 rows of a 10 s clip it takes twice as
long as the product of float32 weights where it computes in bfloat16, and 99 times as long where in float32; widening by
a table first takes 1.55 times as long in float32 and 0.59 times in bfloat16 (on a CPU with AMX).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...kernels.layout import unpack
from ...kernels.pack_quantized import replace_packed

# As many bytes as the values of one byte of codes take: they are copied as one number, whatever it means.
_WORDS = {4: torch.int32, 8: torch.int64, 16: torch.complex128}


class WideningLinear(nn.Module):
    """x · Wᵀ + bias with weight[o, i] = (code[o, i] − 2^(bits − 1)) · scale[o, i // group].

    ``packed`` (out, in · bits / 8) uint8, lowest bits first; ``scale`` (out, groups) in the type of products, float32
    or bfloat16; ``bias`` (out,) float32 or None.
    """

    packed: Tensor
    scale: Tensor
    bias: Tensor | None
    words: Tensor

    def __init__(self, packed: Tensor, scale: Tensor, bias: Tensor | None, *, bits: int) -> None:
        super().__init__()
        table = unpack(torch.arange(256, dtype=torch.uint8)[:, None], bits).to(scale.dtype) - 2 ** (bits - 1)
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        # For each byte the values of its codes.
        self.register_buffer("words", table.view(_WORDS[table.shape[1] * table.element_size()]).squeeze(1))

    @property
    def weight(self) -> Tensor:
        """(out, in) in the type of the scales."""
        values = self.words.index_select(0, self.packed.flatten().int()).view(self.scale.dtype)
        return values.view(*self.scale.shape, -1).mul_(self.scale[..., None]).flatten(1)

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (…, in) float32: (…, out) float32."""
        weight = self.weight
        if weight.dtype == torch.float32:
            return nn.functional.linear(input, weight, self.bias)
        product = nn.functional.linear(input.to(weight.dtype), weight).float()
        return product if self.bias is None else product + self.bias


def multiplies_bf16() -> bool:
    """Whether this CPU has instructions for it, as oneDNN sees it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def keep_packed(model: nn.Module, dtype: torch.dtype) -> int:
    """Make the pack-quantized layers of ``model`` WideningLinears that multiply in ``dtype``, and return how many."""

    def make(packed: Tensor, scale: Tensor, bias: Tensor | None, *, bits: int) -> WideningLinear:
        return WideningLinear(packed, scale.to(dtype), bias, bits=bits)

    return replace_packed(model, make)
