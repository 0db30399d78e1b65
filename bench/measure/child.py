"""A child process, seen from its parent: started with a plan, its answers read, its death explained."""

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
from .messages import Alive, Answer, Broken, Ended, Plan

WORKER = (sys.executable, "-m", "qasr.bench.measure.worker")


class ChildError(BenchError):
    """A child process that did not do what its plan asked for."""


class Child:
    """Starts at once. Use as a context manager; leaving it ends the process.

    ``command`` starts the worker; ``log`` takes what it and its libraries print; ``timeout_seconds`` is how long it may
    give no sign of life.
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
            pass  # it died already; the first answer tells

    def answers(self) -> Iterator[Answer]:
        """Every answer up to the last. Raises ChildError where that is not ``Ended``."""
        while True:
            answer = self._next()
            if isinstance(answer, Broken):
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
        with self._watched():
            line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ChildError(self._epitaph())
        try:
            answer: Answer = msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError as error:
            raise ChildError(f"answered something that cannot be read ({error})") from None
        return answer

    def _finish(self) -> None:
        """What follows the last answer has to be a clean exit: an engine can crash while it is released."""
        with self._watched():
            code = self._process.wait()
        if code:
            raise ChildError(self._epitaph())

    def _watched(self) -> _Watch:
        return _Watch(self._timeout_seconds, self._kill)

    def _kill(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _epitaph(self) -> str:
        code = self._process.wait()
        if self._timed_out:
            return f"hangs: no sign of life for {self._timeout_seconds:g} s"
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = f": {lines[-1].strip()}" if lines else ""
        if code >= 0:
            return f"died with exit code {code}{said}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}{said}"


class _Watch(threading.Timer):
    """A timer that runs within a ``with`` block."""

    def __enter__(self) -> _Watch:
        self.daemon = True
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
