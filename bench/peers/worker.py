"""One candidate in its own process: ``python -m qasr.bench.peers.worker SPEC``.

Each line on stdin names a clip; the answer is a line of JSON on stdout. The process ends with its stdin.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from ...audio import SAMPLE_RATE
from ..channel import claim_stdout, describe_error, send
from ..measure.memory import peak_rss_bytes
from .engines import LOADERS, Spec


class Answer(msgspec.Struct, frozen=True):
    """The answer after a clip."""

    seconds: float = 0.0
    """From waveform to tokens."""
    ids: list[int] = []
    """Transcript of the compared level."""
    execution: str = ""
    peak_bytes: int = 0
    """Largest resident set of this process so far."""
    rates: dict[str, float] = {}
    """The floor's operations per second, by product."""
    missing: dict[str, str] = {}
    """Libraries that the floor could not use, with the reasons."""
    error: str | None = None


def main() -> None:
    """Load and answer requests. Any exception becomes the last answer."""
    channel = claim_stdout()
    try:
        spec = msgspec.json.decode(sys.argv[1], type=Spec)
        answer = _floor(spec) if spec.kind == "floor" else _candidate(spec)
        for line in sys.stdin:
            send(channel, answer(line.strip()))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # whatever the library raises
        send(channel, Answer(error=describe_error(error)))
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
        return Answer(seconds, ids, engine.execution, peak_rss_bytes())

    return answer


def _floor(spec: Spec) -> Callable[[str], Answer]:
    from .floor import Floor, layers_of, shapes_of

    seconds = [np.load(path).size / SAMPLE_RATE for path in spec.clips.values()]
    stock = Path(spec.stock)
    floor = Floor(shapes_of(stock, seconds), layers_of(stock, seconds[0]), spec.threads)
    return lambda _: Answer(rates=floor.rates(), missing=floor.missing, peak_bytes=peak_rss_bytes())


if __name__ == "__main__":
    main()
