"""The parts of the kernel benchmark that need no GPU."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.console import Console

torch = pytest.importorskip("torch")

from qasr.bench.kernels import BASELINE, Row, table  # noqa: E402


def test_table():
    rows = [
        Row(BASELINE, 500, 4096, 1024, 20e-6, 1.0, 1e-4, ""),
        Row("int4", 500, 4096, 1024, 16e-6, 0.8, 2e-4, "BLOCK_M: 64"),
    ]
    assert rows[0].tera_operations == pytest.approx(2 * 500 * 4096 * 1024 / 20e-6 / 1e12)
    console = Console(width=120, record=True)
    console.print(table(rows, "a card"))
    lines = console.export_text().splitlines()
    assert lines[0].strip() == "a card"
    shown = next(line for line in lines if "int4" in line)
    for part in ("500", "4096 x 1024", "16.0", "0.80 x", "262.1", "2.0e-04", "BLOCK_M: 64"):
        assert part in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_error_is_one_line():
    command = [sys.executable, "-m", "qasr.bench.kernels"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "kernels: error: torch finds no NVIDIA GPU on this machine\n"
    assert done.stdout == ""
