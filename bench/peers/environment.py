"""Where a comparison was made."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

# What decides which integer and bf16 kernels a library takes.
_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "numpy")
_VARIABLES = ("OMP_", "MKL_", "KMP_", "ONEDNN_", "DNNL_", "OV_", "ORT_")


def environment() -> dict[str, str]:
    """Processor, memory, load, versions, and the variables that libraries heed."""
    processor = _first("/proc/cpuinfo", "model name")
    flags = set(_first("/proc/cpuinfo", "flags").split())
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) * 1024
    found = {
        "processor": f"{processor}, {len(os.sched_getaffinity(0))} cores",
        "flags": " ".join(flag for flag in _FLAGS if flag in flags) or "none of those that matter",
        "memory": f"{memory / 1e9:.1f} GB",
        "system": platform.platform(),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
    }
    found |= {name: _version(name) for name in _LIBRARIES}
    return found | {name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)}


def _first(file: str, key: str) -> str:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
