"""Description of the machine and its software, and how busy other programs keep it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path

import psutil

from ..results import Environment
from .device import gpus

# CPU features that decide which integer, fp16 and bf16 kernels a library uses: x86 first, then ARM.
_FLAGS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
_LIBRARIES = (
    "qasr",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13",
    "openvino",
    "nncf",
    "torch",
    "torchao",
    "tensorrt",
    "tensorrt-rtx-cu13-bindings",
    "cuda-python",
    "triton",
    "transformers",
    "soundfile",
    "soxr",
    "jiwer",
)
_VARIABLES = ("OMP_", "MKL_", "KMP_", "ONEDNN_", "DNNL_", "OV_", "ORT_", "CUDA_", "QASR_")


class Idleness:
    """Measures how much of the machine other programs leave free."""

    def __init__(self) -> None:
        self._busy, self._own, self._clock = _busy_seconds(), _own_seconds(), time.perf_counter()

    def share(self) -> float:
        """1 minus the fraction of all cores' time that other processes and a hypervisor used since construction.

        Child processes count as our own once they have ended.
        """
        elapsed = (time.perf_counter() - self._clock) * (os.cpu_count() or 1)
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return min(1.0, max(0.0, 1.0 - others / elapsed))


def environment(load_average: float, idle_share: float) -> Environment:
    """Processor, memory, versions, GPUs, and the environment variables that change what libraries do."""
    return Environment(
        processor=_cpuinfo("model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        flags=_flags(),
        governor=_governor(),
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        libraries={name: version for name in _LIBRARIES if (version := _version(name))},
        variables={name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)},
        gpus=gpus(),
        load_average=load_average,
        idle_share=idle_share,
    )


def _flags() -> list[str]:
    """CPU features of the first core; an empty list where the system does not report them."""
    available = set((_cpuinfo("flags") or _cpuinfo("Features") or "").split())
    return [flag for flag in _FLAGS if flag in available]


def _governor() -> str | None:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _cpuinfo(key: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
