"""What goes wrong with kernels."""

from __future__ import annotations

from ..errors import QasrError


class KernelError(QasrError):
    """Tensors that a kernel does not take, or a device that it does not run on."""
