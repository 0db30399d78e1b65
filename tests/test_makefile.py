"""The commands of the Makefile's tables are valid, and name existing targets and methods."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from qasr.cli import qbench, qexport
from qasr.exporters.plan import resolve
from qasr.exporters.request import Request

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("table", "device"), [("table", "cpu"), ("gpu-table", "cuda")])
def test_tables(table, device):
    done = subprocess.run(["make", "-n", "-B", table], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.replace("\\\n", " ").splitlines()]
    exports = [line[1:] for line in lines if line[0].endswith("/qexport")]
    (bench,) = [line[1:] for line in lines if line[0].endswith("/qbench")]
    outputs = set()
    for line in exports:
        options = qexport.command.make_context("qexport", list(line)).params
        resolve(Request(target=options["target"], method=options["method"]))
        outputs.add(options["output"])
    options = qbench.command.commands["measure"].make_context("measure", list(bench)).params
    assert set(options["artifacts"]) == outputs
    assert options["device"] == device
    if device == "cuda":
        assert (options["batches"], options["durations"]) == ((8, 32, 64), (5.0, 10.0, 15.0, 30.0))
        assert options["baseline"] in outputs
