"""NVIDIA GPUs of the machine, through NVIDIA's cuda-python."""

from __future__ import annotations

import importlib.util
from typing import Any

from .errors import GpuError


def capability(index: int = 0) -> str | None:
    """Compute capability of GPU ``index``, as ``8.9``; None without cuda-python, a driver or that GPU."""
    try:
        runtime = bindings()
        if index >= check(runtime.cudaGetDeviceCount(), "cudaGetDeviceCount"):
            return None
        attributes = runtime.cudaDeviceAttr
        major, minor = (
            check(runtime.cudaDeviceGetAttribute(attribute, index), "cudaDeviceGetAttribute")
            for attribute in (
                attributes.cudaDevAttrComputeCapabilityMajor,
                attributes.cudaDevAttrComputeCapabilityMinor,
            )
        )
    except GpuError:
        return None
    return f"{major}.{minor}"


def bindings() -> Any:
    """cuda-python's bindings of the CUDA runtime. Raises GpuError if they are not installed or do not load."""
    try:
        if importlib.util.find_spec("cuda.bindings") is None:
            raise GpuError("cuda-python is not installed; pip install 'qasr[tensorrt]'")
        from cuda.bindings import runtime
    except (ImportError, RuntimeError) as error:  # cuda-python raises RuntimeError if libcudart is missing
        raise GpuError(f"cuda-python does not load here ({error}); pip install 'qasr[tensorrt]'") from None
    return runtime


def check(result: Any, name: str) -> Any:
    """Results of a call of the CUDA runtime, without its status. Raises GpuError if the status is not success."""
    status, *values = result
    if int(status) != 0:
        code = status.name if hasattr(status, "name") else str(status)
        raise GpuError(f"{name} failed ({code})", code)
    return values[0] if len(values) == 1 else tuple(values)
