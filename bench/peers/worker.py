"""One candidate in its own process: ``python -m qasr.bench.peers.worker SPEC``.

A line with a clip's name on stdin is answered by a line of JSON on stdout. The end of stdin ends the process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec
import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import QasrError
from .engines import LOADERS, Spec


class Answer(msgspec.Struct, frozen=True):
    """What a candidate says after a clip."""

    seconds: float = 0.0
    """Time from waveform to tokens."""
    ids: list[int] = []
    """Transcript of the compared level."""
    execution: str = ""
    peak_bytes: int = 0
    """Largest resident set of this process so far."""
    rates: dict[str, float] = {}
    """The floor's answer: product to operations a second."""
    missing: dict[str, str] = {}
    """Libraries that the floor could not use, and why."""
    error: str | None = None


def main() -> None:
    """Load and serve; an error is an answer too, and the last."""
    channel = _claim_stdout()
    try:
        spec = msgspec.json.decode(sys.argv[1], type=Spec)
        answer = _floor(spec) if spec.kind == "floor" else _candidate(spec)
        for line in sys.stdin:
            _send(channel, answer(line.strip()))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # whatever the library raises
        reason = str(error).strip().splitlines()
        kind = "" if isinstance(error, QasrError) else f"{type(error).__name__}: "
        _send(channel, Answer(error=f"{kind}{reason[0] if reason else 'no message'}"))
        sys.exit(1)


def _candidate(spec: Spec) -> Callable[[str], Answer]:
    clips = {name: np.load(path) for name, path in spec.clips.items()}
    engine = LOADERS[spec.kind](spec)

    def answer(name: str) -> Answer:
        waveform = clips[name]
        started = time.perf_counter()
        result = engine.run(waveform)
        seconds = time.perf_counter() - started
        ids = engine.check(result, waveform.size / SAMPLE_RATE)
        return Answer(seconds, ids, engine.execution, _peak_bytes())

    return answer


def _floor(spec: Spec) -> Callable[[str], Answer]:
    from .floor import Floor, layers_of, shapes_of

    seconds = [np.load(path).size / SAMPLE_RATE for path in spec.clips.values()]
    stock = Path(spec.stock)
    floor = Floor(shapes_of(stock, seconds), layers_of(stock, seconds[0]), spec.threads)
    return lambda _: Answer(rates=floor.rates(), missing=floor.missing, peak_bytes=_peak_bytes())


def _claim_stdout() -> TextIO:
    """The real stdout for answers only; whatever libraries print goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _send(channel: TextIO, answer: Answer) -> None:
    channel.write(msgspec.json.encode(answer).decode() + "\n")
    channel.flush()


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
