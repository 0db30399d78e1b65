"""A candidate's process, seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec

from .engines import Spec
from .errors import CandidateError
from .make import last_line
from .worker import Answer

_LONGEST_SECONDS = 900.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Child:
    """Starts at once. Use as a context manager; leaving it ends the process."""

    def __init__(self, spec: Spec, log: Path) -> None:
        self._log = log
        self._output = log.open("w", encoding="utf-8")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qasr.bench.peers.worker", msgspec.json.encode(spec).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            text=True,
        )
        self._answered: tuple[float, float] | None = None
        self._idle_seconds = self._idle_cpu_seconds = 0.0

    def ask(self, clip: str) -> Answer:
        """Let it hear a clip. Raises CandidateError with what went wrong."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count_idle()
        timer = threading.Timer(_LONGEST_SECONDS, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(f"{clip}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise CandidateError(self._epitaph())
        answer = msgspec.json.decode(line, type=Answer)
        if answer.error is not None:
            raise CandidateError(answer.error)
        self._answered = (time.perf_counter(), self._cpu_seconds())
        return answer

    def age_seconds(self) -> float:
        """Time since the process was started."""
        return time.perf_counter() - self._started

    def idle_share(self) -> float:
        """Share of one core burned between answers and the next questions: threads that spin slow the others down."""
        return self._idle_cpu_seconds / self._idle_seconds if self._idle_seconds else 0.0

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdout is not None
        self._process.kill()
        self._process.communicate()
        self._output.close()

    def _count_idle(self) -> None:
        if self._answered is not None and self._process.poll() is None:
            then, burned = self._answered
            self._idle_seconds += time.perf_counter() - then
            self._idle_cpu_seconds += self._cpu_seconds() - burned

    def _cpu_seconds(self) -> float:
        # Behind the name, which may hold spaces: utime and stime are fields 14 and 15 of proc(5).
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _epitaph(self) -> str:
        code = self._process.wait()
        if self.age_seconds() > _LONGEST_SECONDS and code == -9:
            return f"no answer within {_LONGEST_SECONDS:g} s"
        ended = f"killed by signal {-code}" if code < 0 else f"exit {code}"
        hint = " (out of memory?)" if code == -9 else ""
        return f"{ended}{hint}: {last_line(self._log.read_text(encoding='utf-8', errors='replace'))}"
