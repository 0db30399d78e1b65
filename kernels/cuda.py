"""The GPU in this machine, if there is one, as NVIDIA's cuda-python sees it."""

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
    """cuda-python's bindings of the CUDA runtime. Raises GpuError where they are not installed or do not load."""
    try:
        if importlib.util.find_spec("cuda.bindings") is None:
            raise GpuError("cuda-python is not installed; pip install 'qasr[tensorrt]'")
        from cuda.bindings import runtime
    except (ImportError, RuntimeError) as error:  # it raises RuntimeError where libcudart is missing
        raise GpuError(f"cuda-python does not load here ({error}); pip install 'qasr[tensorrt]'") from None
    return runtime


def check(result: Any, name: str) -> Any:
    """What a call of the runtime gave beside its status; GpuError where the status is no success."""
    status, *values = result
    if int(status) != 0:
        raise GpuError(f"{name} failed ({status.name if hasattr(status, 'name') else status})")
    return values[0] if len(values) == 1 else tuple(values)
