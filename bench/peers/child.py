"""A candidate's process from its parent's side."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec

from ...errors import last_line
from .engines import Spec
from .errors import CandidateError
from .worker import Answer

_TIMEOUT_SECONDS = 900.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Child:
    """A process that starts at once. Use it as a context manager, which kills the process at the end."""

    def __init__(self, spec: Spec, log: Path) -> None:
        self._log = log
        self._output = log.open("w", encoding="utf-8")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            # -P keeps the current folder off sys.path, where a folder of it could shadow an installed package.
            [sys.executable, "-P", "-m", "qasr.bench.peers.worker", msgspec.json.encode(spec).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            text=True,
        )
        self._answered: tuple[float, float] | None = None
        self._idle_seconds = self._idle_cpu_seconds = 0.0

    def transcribe(self, clip: str) -> Answer:
        """Transcribe a clip. Raises CandidateError with the reason if that fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count_idle()
        timer = threading.Timer(_TIMEOUT_SECONDS, self._process.kill)
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
            raise CandidateError(self._exit_reason())
        answer = msgspec.json.decode(line, type=Answer)
        if answer.error is not None:
            raise CandidateError(answer.error)
        self._answered = (time.perf_counter(), self._cpu_seconds())
        return answer

    def age_seconds(self) -> float:
        """Time since the process was started, in seconds."""
        return time.perf_counter() - self._started

    def idle_share(self) -> float:
        """Fraction of one core used between requests: spinning threads slow the other candidates down."""
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
            then, cpu_seconds = self._answered
            self._idle_seconds += time.perf_counter() - then
            self._idle_cpu_seconds += self._cpu_seconds() - cpu_seconds

    def _cpu_seconds(self) -> float:
        # utime and stime are fields 14 and 15 of proc(5); the name before them may contain spaces.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _exit_reason(self) -> str:
        code = self._process.wait()
        if self.age_seconds() > _TIMEOUT_SECONDS and code == -9:
            return f"no answer within {_TIMEOUT_SECONDS:g} s"
        ended = f"killed by signal {-code}" if code < 0 else f"exit {code}"
        hint = " (out of memory?)" if code == -9 else ""
        output = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return f"{ended}{hint}: {last_line(output or 'no message')}"
