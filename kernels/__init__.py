"""NVIDIA GPUs: kernels of our own for weights of four and two bits, and the libraries that both halves find there.

Nothing heavy is imported with the package: torch by ``layout``, Triton by ``nbits_matmul``, TensorRT by ``tensorrt``.
"""

from __future__ import annotations

from .errors import GpuError, KernelError

__all__ = ["GpuError", "KernelError"]
