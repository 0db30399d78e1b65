"""Errors of GPUs and of kernels for them."""

from __future__ import annotations

from typing import Any

from ..errors import QasrError


class GpuError(QasrError):
    """A GPU library that is missing, or a call of one that failed; ``code`` is the name of CUDA's status, if any."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code)


class KernelError(GpuError):
    """Tensors that a kernel does not support, or a device that it does not run on."""
