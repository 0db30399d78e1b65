"""What a TensorRT-RTX engine will compute in, read back from its bytes, with no GPU.

The engine holds the program of TensorRT's graph compiler as text: tensors with their types, and calls that name them.
Which tactic a product takes is chosen on the GPU at load; what types it multiplies is fixed.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

_TENSOR = re.compile(rb"tensor=\{(?:[^{}]|\{[^{}]*\})*\}")
_NAME, _TYPE = re.compile(rb'name="([^"]*)"'), re.compile(rb"\btype=(\w+)")
_PRODUCT = re.compile(rb'\bfully_connected=\{ name="[^"]*" output=\{[^}]*\} input=\{([^}]*)\}')
_FUNCTION = re.compile(rb"\bfunction=\{ name=(\S+)")
_QUOTED = re.compile(rb'"([^"]*)"')

EIGHT_BITS = ("int8", "fp8_e4m3")


def read_back(plan: bytes) -> dict[str, int]:
    """Kernels by kind to their number: matrix products by the types of both operands, fused attention, and the rest.

    Empty for a plan without such a program, as TensorRT for data-centre GPUs makes it.
    """
    types: dict[bytes, list[tuple[int, str]]] = {}
    for tensor in _TENSOR.finditer(plan):
        name, kind = _NAME.search(tensor[0]), _TYPE.search(tensor[0])
        if name and kind:
            types.setdefault(name[1], []).append((tensor.start(), kind[1].decode()))
    counts: Counter[str] = Counter()
    for product in _PRODUCT.finditer(plan):
        left, right = (_type(types, name, product.start()) for name in _QUOTED.findall(product[1])[:2])
        counts[f"product {left} x {right}"] += 1
    for function in _FUNCTION.finditer(plan):
        counts["fused attention" if b"_mha_" in function[1] else "fused pointwise"] += 1
    return dict(sorted(counts.items()))


def eight_bit_products(kernels: Mapping[str, int]) -> int:
    """Products both of whose operands have 8 bits."""
    return sum(kernels.get(f"product {kind} x {kind}", 0) for kind in EIGHT_BITS)


def _type(types: dict[bytes, list[tuple[int, str]]], name: bytes, offset: int) -> str:
    """The type in the last declaration before ``offset``: each of the plan's programs has its own names."""
    declared = types.get(name, [])
    before = bisect_left(declared, (offset, ""))
    return declared[before - 1][1] if before else "unknown"
