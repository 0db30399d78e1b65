"""Matrix product with 4-bit or 2-bit weights in Triton. Weights stay packed in memory and are unpacked in registers.

The weights are the left operand, yᵀ = W · xᵀ. Hopper's tensor cores read the left operand from registers, where the
unpacked weights are, and a tile of the right operand may be narrower, which suits few rows of x. Codes become floats
without a conversion instruction, which GPUs execute at a quarter of the speed of arithmetic: a code's bits are placed
below those of 2^10 in fp16 (2^23 in fp32 if x is bfloat16), and likewise the zero point's, so that their difference is
exact (Kim et al. 2022, arXiv:2211.10017).
"""

from __future__ import annotations

import os
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .errors import KernelError

GROUP_SIZES = (32, 64, 128)
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether Triton interprets kernels on the CPU; it reads the variable when they are defined."""

_DTYPES = (torch.float16, torch.bfloat16)
# Bits of 2^10 in fp16 and of 2^23 in fp32. The last bit of their mantissa is worth 1, so codes are added as bits.
_FP16_ONES = tl.constexpr(0x6400)
_FP32_ONES = tl.constexpr(0x4B000000)
# The interpreter multiplies bfloat16 bits as integers. float32 represents the same values.
_WIDER_DOT = tl.constexpr(INTERPRETED)


@triton.jit  # type: ignore[untyped-decorator]
def kernel(  # type: ignore[no-untyped-def]
    x, packed, scale, zero_point, bias, y, M, N, K,
    ROWS: tl.constexpr, BITS: tl.constexpr, GROUP: tl.constexpr,
    ZERO_POINT: tl.constexpr, BIAS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One tile (BLOCK_M, BLOCK_N) of y (M, N); see ``nbits_matmul``. BLOCK_K divides GROUP, and GROUP divides K."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    row_mask, column_mask = rows < M, columns < N
    row_starts = x + rows.to(tl.int64)[:, None] * K
    byte_starts = packed + columns[:, None] * (K * BITS // 8)
    group_starts = columns * (K // GROUP)
    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for first in range(0, K, BLOCK_K):
        inputs = tl.load(row_starts + first + tl.arange(0, BLOCK_K)[None, :], mask=row_mask[:, None], other=0.0)
        offsets = first * BITS // 8 + tl.arange(0, BLOCK_K * BITS // 8)
        bytes_ = tl.load(byte_starts + offsets[None, :], mask=column_mask[:, None], other=0)
        if BITS == 4:
            codes = tl.interleave(bytes_ & 15, bytes_ >> 4)
        else:
            even = tl.interleave(bytes_ & 3, bytes_ >> 4 & 3)
            codes = tl.interleave(even, tl.interleave(bytes_ >> 2 & 3, bytes_ >> 6))
        group = group_starts + first // GROUP
        scales = tl.load(scale + group, mask=column_mask, other=0.0)
        if ZERO_POINT:
            middle = tl.load(zero_point + group, mask=column_mask, other=0)
        else:
            middle = tl.full((BLOCK_N,), 2 ** (BITS - 1), tl.uint8)
        if inputs.dtype == tl.float16:
            wide = (codes.to(tl.int16) | _FP16_ONES).to(tl.float16, bitcast=True)
            wide_middle = (middle.to(tl.int16) | _FP16_ONES).to(tl.float16, bitcast=True)
        else:  # few GPUs subtract in bfloat16
            wide = (codes.to(tl.int32) | _FP32_ONES).to(tl.float32, bitcast=True)
            wide_middle = (middle.to(tl.int32) | _FP32_ONES).to(tl.float32, bitcast=True)
        weights = (wide - wide_middle[:, None]) * scales.to(wide.dtype)[:, None]
        weights = weights.to(inputs.dtype)
        if _WIDER_DOT:
            sums = tl.dot(weights.to(tl.float32), tl.trans(inputs.to(tl.float32)), sums)
        else:
            sums = tl.dot(weights, tl.trans(inputs), sums)
    if BIAS:
        sums += tl.load(bias + columns, mask=column_mask, other=0.0).to(tl.float32)[:, None]
    targets = y + rows.to(tl.int64)[:, None] * N + columns[None, :]
    tl.store(targets, tl.trans(sums).to(y.dtype.element_ty), mask=row_mask[:, None] & column_mask[None, :])


def _tile(m: int, n: int, k: int, warps: int, stages: int) -> triton.Config:
    return triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k}, num_warps=warps, num_stages=stages)


TILES = (
    _tile(16, 32, 128, 2, 5),
    _tile(16, 64, 64, 4, 5),
    _tile(16, 64, 32, 4, 5),
    _tile(32, 64, 128, 4, 4),
    _tile(32, 64, 64, 4, 4),
    _tile(64, 64, 64, 4, 4),
    _tile(64, 64, 32, 4, 4),
    _tile(64, 128, 64, 4, 4),
    _tile(128, 64, 64, 4, 4),
    _tile(128, 128, 32, 8, 4),
    _tile(128, 128, 64, 8, 3),
    _tile(256, 64, 64, 8, 3),
)
"""Tile sizes that are timed once for each shape of weights and each power of two of rows."""


def fitting(tiles: list[triton.Config], named: dict[str, Any], **more: Any) -> list[triton.Config]:
    """The ``tiles`` whose steps do not cross groups and whose height suits the number of rows."""
    arguments = named | more
    tallest = max(16, min(arguments["ROWS"], 256))
    return [
        tile
        for tile in tiles
        if arguments["GROUP"] % tile.kwargs["BLOCK_K"] == 0 and tallest // 8 <= tile.kwargs["BLOCK_M"] <= tallest
    ]


tuned = triton.autotune(
    configs=list(TILES), key=["ROWS", "N", "K", "BITS", "GROUP"], prune_configs_by={"early_config_prune": fitting}
)(kernel)


@torch.library.custom_op("qasr::nbits_matmul", mutates_args=())
def _launch(
    x: Tensor, packed: Tensor, scale: Tensor, zero_point: Tensor | None, bias: Tensor | None, bits: int
) -> Tensor:
    """``x`` (M, K): (M, N)."""
    rows, inputs = x.shape
    outputs, groups = scale.shape
    y = x.new_empty(rows, outputs)
    if rows == 0:
        return y
    chosen = {
        "ROWS": triton.next_power_of_2(min(rows, 4096)),
        "BITS": bits,
        "GROUP": inputs // groups,
        "ZERO_POINT": zero_point is not None,
        "BIAS": bias is not None,
    }
    launched: Any = tuned
    if INTERPRETED:  # autotuning needs a GPU
        launched, chosen = kernel, chosen | fitting(list(TILES), chosen)[0].kwargs

    def grid(meta: dict[str, int]) -> tuple[int, int]:
        return triton.cdiv(rows, meta["BLOCK_M"]), triton.cdiv(outputs, meta["BLOCK_N"])

    # Tensors in place of None are not read.
    launched[grid](
        x,
        packed,
        scale,
        packed if zero_point is None else zero_point,
        scale if bias is None else bias,
        y,
        rows,
        outputs,
        inputs,
        **chosen,
    )
    return y


@_launch.register_fake
def _(x: Tensor, packed: Tensor, scale: Tensor, zero_point: Tensor | None, bias: Tensor | None, bits: int) -> Tensor:
    return x.new_empty(x.shape[0], scale.shape[0])


def nbits_matmul(
    x: Tensor, packed: Tensor, scale: Tensor, zero_point: Tensor | None = None, bias: Tensor | None = None, *, bits: int
) -> Tensor:
    """X · Wᵀ + bias with W as in ``layout.dequantize`` and sums in float32: (…, N) in the type of x.

    ``x`` (…, K) float16 or bfloat16 on a GPU, ``packed`` (N, K · bits / 8) uint8, ``scale`` (N, K / group) in the type
    of x with groups of 32, 64 or 128, ``zero_point`` (N, K / group) uint8 (None: 2^(bits − 1)), ``bias`` (N,) of any
    float type. Raises KernelError for other shapes, types and devices.
    """
    _check(x, packed, scale, zero_point, bias, bits)
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    optional = [None if tensor is None else tensor.contiguous() for tensor in (zero_point, bias)]
    product = _launch(rows, packed.contiguous(), scale.contiguous(), *optional, bits)
    return product.view(*x.shape[:-1], scale.shape[0])  # type: ignore[no-any-return]


def _check(x: Tensor, packed: Tensor, scale: Tensor, zero_point: Tensor | None, bias: Tensor | None, bits: int) -> None:
    if bits not in (4, 2):
        raise KernelError(f"weights of {bits} bits; this kernel takes 4 or 2")
    if x.dtype not in _DTYPES:
        raise KernelError(f"x is {x.dtype}; this kernel takes torch.float16 or torch.bfloat16")
    if scale.dtype != x.dtype:
        raise KernelError(f"scale is {scale.dtype} and x {x.dtype}; convert it once, with scale.to(x.dtype)")
    if scale.ndim != 2 or x.shape[-1] % scale.shape[1] or x.shape[-1] // scale.shape[1] not in GROUP_SIZES:
        sizes = ", ".join(map(str, GROUP_SIZES))
        raise KernelError(f"scale {tuple(scale.shape)} for {x.shape[-1]} inputs; groups have {sizes} of them")
    expected = (scale.shape[0], x.shape[-1] * bits // 8)
    if packed.dtype != torch.uint8 or packed.shape != expected:
        raise KernelError(f"packed is {packed.dtype} {tuple(packed.shape)}; {bits} bits need torch.uint8 {expected}")
    if zero_point is not None and (zero_point.dtype != torch.uint8 or zero_point.shape != scale.shape):
        raise KernelError(f"zero_point is {zero_point.dtype} {tuple(zero_point.shape)}; it must be uint8 as scale")
    if bias is not None and bias.shape != scale.shape[:1]:
        raise KernelError(f"bias is {tuple(bias.shape)}; it must be {tuple(scale.shape[:1])}")
    devices = {tensor.device for tensor in (x, packed, scale, zero_point, bias) if tensor is not None}
    if len(devices) > 1:
        raise KernelError(f"tensors on {' and '.join(sorted(map(str, devices)))}; they must be on one device")
    if x.device.type != "cuda" and not INTERPRETED:
        raise KernelError(f"x is on {x.device}; this kernel needs an NVIDIA GPU (or TRITON_INTERPRET=1, to test it)")
