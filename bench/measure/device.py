"""NVIDIA GPUs through NVML: a list of them, and the GPU memory that a process uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from ..results import Gpu

_PERIOD_SECONDS = 0.02


class DevicePeak:
    """Largest GPU memory of a process, sampled until the ``with`` block ends. ``bytes`` is None without a GPU.

    A peak shorter than 20 ms can be missed; the engines of this project allocate once and keep their memory.
    """

    def __init__(self, pid: int) -> None:
        self.bytes: int | None = None
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> DevicePeak:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        with _nvml() as nvml:
            if nvml is None:
                return
            devices = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            if not devices:
                return
            self.bytes = 0
            while not self._done.wait(_PERIOD_SECONDS):
                running = [
                    process for device in devices for process in nvml.nvmlDeviceGetComputeRunningProcesses(device)
                ]
                used = sum(process.usedGpuMemory or 0 for process in running if process.pid == self._pid)
                self.bytes = max(self.bytes, used)


def gpus() -> list[Gpu]:
    """The CUDA devices of this machine; an empty list without NVML or its driver."""
    with _nvml() as nvml:
        if nvml is None:
            return []
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return [
            Gpu(
                name=_text(nvml.nvmlDeviceGetName(handle)),
                driver=driver,
                memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for handle in handles
        ]


@contextmanager
def _nvml() -> Iterator[Any]:
    """The initialized NVML binding, or None if it is not installed or has no driver."""
    if find_spec("pynvml") is None:
        yield None
        return
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
