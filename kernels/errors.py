"""What goes wrong with GPUs and what runs on them."""

from __future__ import annotations

from ..errors import QasrError


class GpuError(QasrError):
    """A library for GPUs that is missing or does not work here."""


class KernelError(GpuError):
    """Tensors that a kernel does not take, or a device that it does not run on."""
