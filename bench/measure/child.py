"""A child process from its parent's side: starts it with a plan, reads its answers, explains its failure."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from ..errors import BenchError
from .messages import Alive, Answer, Ended, Failed, Plan

# -P keeps the current folder off sys.path, where a folder of it could shadow an installed package.
WORKER = (sys.executable, "-P", "-m", "qasr.bench.measure.worker")


class ChildError(BenchError):
    """A child process that failed to execute its plan."""


class Child:
    """A process that starts at once. Use it as a context manager, which kills the process at the end.

    ``command`` starts the worker. ``log`` receives everything that the worker and its libraries print. The process is
    killed if it sends nothing for ``timeout_seconds``.
    """

    def __init__(self, plan: Plan, *, timeout_seconds: float, log: Path, command: Sequence[str] = WORKER) -> None:
        self._timeout_seconds = timeout_seconds
        self._log = log
        self._timed_out = False
        with log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [*command, repr(time.monotonic())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output
            )
        self.pid = self._process.pid
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(plan))
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # the process has died already, which reading its first answer will report

    def answers(self) -> Iterator[Answer]:
        """All answers in order. Raises ChildError unless the last one is ``Ended`` and the process exits cleanly."""
        while True:
            answer = self._next()
            if isinstance(answer, Failed):
                raise ChildError(answer.reason)
            if isinstance(answer, Alive):
                continue
            yield answer
            if isinstance(answer, Ended):
                self._finish()
                return

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _next(self) -> Answer:
        assert self._process.stdout is not None
        with self._timeout():
            line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ChildError(self._exit_reason())
        try:
            answer: Answer = msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError as error:
            raise ChildError(f"sent an answer that cannot be decoded ({error})") from None
        return answer

    def _finish(self) -> None:
        """Wait for a clean exit: an engine can crash while it is released."""
        with self._timeout():
            code = self._process.wait()
        if code:
            raise ChildError(self._exit_reason())

    def _timeout(self) -> _Timeout:
        return _Timeout(self._timeout_seconds, self._kill)

    def _kill(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _exit_reason(self) -> str:
        code = self._process.wait()
        if self._timed_out:
            return f"hangs: no answer for {self._timeout_seconds:g} s"
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        message = f": {lines[-1].strip()}" if lines else ""
        if code >= 0:
            return f"exit code {code}{message}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}{message}"


class _Timeout(threading.Timer):
    """A timer that is cancelled at the end of a ``with`` block."""

    def __enter__(self) -> _Timeout:
        self.daemon = True
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
