"""Commands run in this process: a fresh one would spend seconds on imports for each message."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import subprocess
from pathlib import Path
from unittest import mock


def run(tool: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``tool``, such as ``qexport``, with its whole edge: exit code, and what it writes through Python's streams.

    What native code writes does not pass through these streams; tests of it run a process of their own.
    """
    command = [tool, *map(str, arguments)]
    entry = importlib.import_module(f"qasr.cli.{tool}").run
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    code: object = None
    try:
        with (
            mock.patch("sys.argv", command),
            mock.patch.dict(os.environ, {"COLUMNS": "200"}),
            contextlib.chdir(cwd or Path.cwd()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            entry()
    except SystemExit as exit_:
        code = exit_.code
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert isinstance(code, int)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
