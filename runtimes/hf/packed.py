"""Linear layers on a CPU whose low-bit weights stay packed in memory and are unpacked for each product.

Torch has a kernel for such weights, ``_weight_int4pack_mm_for_cpu``. Compared with the product of float32 weights, with
the 500 rows of a 10 s clip on a CPU with AMX, it takes 2 times as long in bfloat16 and 99 times as long in float32.
Unpacking with a table first takes 0.59 times as long in bfloat16 and 1.55 times as long in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...gpu.layout import unpack
from ...gpu.pack_quantized import replace_packed

# Types as wide as the unpacked values of one byte, by bytes: the values are copied as one number.
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
        # For each value of a byte, the values of its codes.
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
    """Whether this CPU has bfloat16 instructions, according to oneDNN."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def keep_packed(model: nn.Module, dtype: torch.dtype) -> int:
    """Replace the pack-quantized layers of ``model`` by WideningLinears that multiply in ``dtype``; return how many."""

    def make(packed: Tensor, scale: Tensor, bias: Tensor | None, *, bits: int) -> WideningLinear:
        return WideningLinear(packed, scale.to(dtype), bias, bits=bits)

    return replace_packed(model, make)
