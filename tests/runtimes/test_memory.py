"""Dropping mapped pages: resident memory falls, values stay."""

from __future__ import annotations

import mmap
import sys
import time
from pathlib import Path

import pytest

from qasr.runtimes.memory import drop, released

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, which only Linux has")
SIZE = 8 << 20


def resident(path: Path) -> int:
    """Kilobytes of the file's mapping that are resident."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("not mapped")


@pytest.fixture
def mapped(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    with path.open("rb") as file, mmap.mmap(file.fileno(), SIZE, prot=mmap.PROT_READ) as view:
        assert sum(view[::4096]) >= 0
        yield path, view


def test_pages_go_and_come_back(mapped, tmp_path):
    path, view = mapped
    assert resident(path) == SIZE // 1024
    assert drop([tmp_path]) == SIZE
    assert resident(path) == 0
    assert view[: 1 << 20] == bytes(range(256)) * ((1 << 20) // 256)
    assert 0 < resident(path) < SIZE // 1024


def test_other_files_are_left_alone(mapped, tmp_path):
    path, _ = mapped
    assert drop([tmp_path / "elsewhere"]) == 0
    assert resident(path) == SIZE // 1024


def test_writable_mappings_are_left_alone(tmp_path):
    """What was changed in a private mapping would be lost."""
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_COPY) as view:
        view[:4] = b"mine"
        assert drop([tmp_path]) == 0
        assert view[:4] == b"mine"


def test_released_drops_while_work_goes_on(mapped, tmp_path):
    path, _ = mapped
    with released([tmp_path]):
        deadline = time.monotonic() + 10
        while resident(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert resident(path) == 0
    assert resident(path) == 0
