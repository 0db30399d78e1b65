"""GPU memory through NVML, with a fake library: no GPU is needed."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from qasr.bench.measure import device


@pytest.fixture
def nvml(monkeypatch):
    """Two devices; process 77 uses 1, 3, then 2 GB on the first and 0.5 GB on the second."""
    calls = {"n": 0}

    class NVMLError(Exception):
        pass

    def running(handle):
        if handle == 1:
            return [SimpleNamespace(pid=77, usedGpuMemory=500_000_000), SimpleNamespace(pid=5, usedGpuMemory=9e9)]
        calls["n"] += 1
        used = {1: 1_000_000_000, 2: 3_000_000_000}.get(calls["n"], 2_000_000_000)
        return [SimpleNamespace(pid=77, usedGpuMemory=used)]

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=running,
        nvmlSystemGetDriverVersion=lambda: b"580.10",
        nvmlDeviceGetName=lambda handle: f"Card {handle}",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=80_000_000_000),
        calls=calls,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(device, "find_spec", lambda name: object())
    return fake


def test_peak_of_one_process(nvml):
    with device.DevicePeak(77) as peak:
        while nvml.calls["n"] < 4:
            time.sleep(0.01)
    assert peak.bytes == 3_500_000_000


def test_names_and_driver(nvml):
    assert [(gpu.name, gpu.driver, gpu.memory_bytes) for gpu in device.gpus()] == [
        ("Card 0", "580.10", 80_000_000_000),
        ("Card 1", "580.10", 80_000_000_000),
    ]


def test_without_a_driver(nvml):
    def fail():
        raise nvml.NVMLError

    nvml.nvmlInit = fail
    assert device.gpus() == []
    with device.DevicePeak(77) as peak:
        pass
    assert peak.bytes is None


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    assert device.gpus() == []
