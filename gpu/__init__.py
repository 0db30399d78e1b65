"""Kernels of our own for NVIDIA GPUs: products with weights of four and two bits. Triton is imported by those alone."""

from __future__ import annotations

from .errors import KernelError
from .layout import dequantize, pack, unpack

__all__ = ["KernelError", "dequantize", "pack", "unpack"]
