"""What all commands share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import click
import pytest

from qasr.cli.common import main


@pytest.mark.parametrize(("set_before", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_do_not_spin(monkeypatch, set_before, expected):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["tool"])
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("OMP_WAIT_POLICY", set_before or "")
    if set_before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    seen = []
    with pytest.raises(SystemExit):
        main(click.Command("tool", callback=lambda: seen.append(os.environ["OMP_WAIT_POLICY"])))
    assert seen == [expected]


def test_torch_is_not_loaded_with_a_command():
    """Its settings are made when a command starts, and it reads them when it is loaded."""
    modules = ", ".join(f"qasr.cli.{tool}" for tool in ("qexport", "qtrain", "qbench", "qinfer"))
    program = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
