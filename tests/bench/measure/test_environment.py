"""The environment of a benchmark, and how much of the machine other programs used."""

from __future__ import annotations

import os
import platform
from collections import namedtuple

import pytest

from qasr.bench.measure import environment as module
from qasr.bench.measure.environment import Idleness, environment
from qasr.bench.measure.memory import evict, peak_rss_bytes

Times = namedtuple("Times", "user system idle iowait steal")


def test_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    actual = environment(load_average=0.5, idle_share=0.9)
    assert actual.python == platform.python_version()
    assert {"qasr", "numpy", "onnxruntime"} <= set(actual.libraries)
    assert "not-installed" not in actual.libraries
    assert actual.variables["OMP_NUM_THREADS"] == "3"
    assert "SECRET_TOKEN" not in actual.variables
    assert (actual.load_average, actual.idle_share) == (0.5, 0.9)
    assert actual.memory_bytes > 1e8
    assert actual.processor


def test_idleness_counts_other_programs_only(monkeypatch):
    """Two cores, ten seconds: 12 s busy, of which 7 s are our own; others used 5 of 20."""
    now = {"clock": 0.0, "cpu": Times(100, 10, 0, 5, 1), "own": (50, 5, 0, 0)}
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(module.time, "perf_counter", lambda: now["clock"])
    monkeypatch.setattr(module.psutil, "cpu_times", lambda: now["cpu"])
    own = namedtuple("Own", "user system children_user children_system")
    monkeypatch.setattr(module.os, "times", lambda: own(*now["own"]))
    idleness = Idleness()
    now |= {"clock": 10.0, "cpu": Times(108, 12, 8, 7, 3), "own": (52, 6, 3, 1)}
    assert idleness.share() == pytest.approx(1 - 5 / 20)


def test_evicted_files_are_cold(tmp_path):
    """If the file system can report it; otherwise the files do not count as cold."""
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 10_000_000)
    cold = evict([path])
    assert isinstance(cold, bool)
    if cold:
        path.read_bytes()
        with path.open("rb") as file:
            assert os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1


def test_the_peak_includes_allocated_memory():
    before = peak_rss_bytes()
    hoard = bytearray(b"x") * 300_000_000
    assert peak_rss_bytes() >= max(before, 300_000_000)
    assert len(hoard) == 300_000_000
