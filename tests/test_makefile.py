"""What the Makefile's tables run: commands that the tools understand, of targets that there are."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from qasr.cli import qbench, qexport
from qasr.exporters import find

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("goal", "device"), [("table", "cpu"), ("gpu-table", "cuda")])
def test_tables(goal, device):
    done = subprocess.run(["make", "-n", "-B", goal], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.replace("\\\n", " ").splitlines()]
    exports = [line[1:] for line in lines if line[0].endswith("/qexport")]
    (bench,) = [line[1:] for line in lines if line[0].endswith("/qbench")]
    made = set()
    for line in exports:
        given = qexport.command.make_context("qexport", list(line)).params
        find(given["target"]).method(given["method"])
        made.add(given["output"])
    given = qbench.command.commands["measure"].make_context("measure", list(bench)).params
    assert set(given["artifacts"]) == made
    assert given["device"] == device
    if device == "cuda":
        assert (given["batches"], given["durations"]) == ((8, 32, 64), (5.0, 10.0, 15.0, 30.0))
        assert given["baseline"] in made
