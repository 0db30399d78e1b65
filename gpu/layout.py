"""Low-bit codes packed into bytes, lowest bits first: the layout of ONNX Runtime's MatMulNBits.

https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
compressed-tensors' pack-quantized words are the same bytes on a little-endian machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pack(codes: Tensor, bits: int) -> Tensor:
    """``codes`` (…, n) uint8 below 2^bits as (…, ⌈n · bits / 8⌉) bytes; unused bits of the last byte are 0."""
    per_byte = 8 // bits
    padded = nn.functional.pad(codes, (0, -codes.shape[-1] % per_byte)).unflatten(-1, (-1, per_byte))  # type: ignore[no-untyped-call]
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=codes.device)
    packed: Tensor = (padded << shifts).sum(-1, dtype=torch.uint8)
    return packed


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The codes (…, n · 8 / bits) uint8 of ``packed`` (…, n) uint8."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed.device)
    codes: Tensor = (packed[..., None] >> shifts & (2**bits - 1)).flatten(-2)
    return codes


def dequantize(packed: Tensor, scale: Tensor, zero_point: Tensor | None, bits: int) -> Tensor:
    """The weight (N, K) of ``packed`` (N, K · bits / 8) uint8 in the type of ``scale`` (N, groups).

    weight = (code − zero point) · scale, rounded once; ``zero_point`` (N, groups) uint8, None: 2^(bits − 1).
    """
    codes = unpack(packed, bits).view(*scale.shape, -1).to(scale.dtype)
    middle = 2 ** (bits - 1) if zero_point is None else zero_point[..., None].to(scale.dtype)
    return ((codes - middle) * scale[..., None]).flatten(1)
