"""Our GPU kernels for 4-bit and 2-bit weights, and access to CUDA and TensorRT, for both halves.

The package itself imports nothing heavy: ``layout`` imports torch, ``nbits_matmul`` Triton and ``tensorrt`` TensorRT.
"""

from __future__ import annotations

from .errors import GpuError, KernelError

__all__ = ["GpuError", "KernelError"]
