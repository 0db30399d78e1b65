"""``python -m qasr.bench.measure.worker``: one artifact in a process of its own, from start to last measurement.

The time at which the parent started it is its only argument; the plan is read from stdin. Nothing of an engine is
imported before the clock of ``import_seconds`` runs.
"""

from __future__ import annotations

import time

# Before any other import: what came before it is the interpreter's and the package's.
_STARTED = time.monotonic()

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from ...errors import QasrError
from .messages import (
    Alive,
    Answer,
    Broken,
    Ended,
    Loaded,
    Logits,
    Measure,
    Measured,
    Plan,
    Step,
    Transcribe,
    Transcripts,
    Written,
)

if TYPE_CHECKING:
    from ...runtimes import Engine, Model


def main() -> None:
    """Answer the plan's steps; whatever goes wrong is the last answer."""
    channel = _claim_stdout()
    try:
        plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
        for answer in live(plan, _STARTED - float(sys.argv[1]), _pulse(channel)):
            _send(channel, answer)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # whatever an engine raises
        reason = str(error).strip().splitlines()
        kind = "" if isinstance(error, QasrError) else f"{type(error).__name__}: "
        _send(channel, Broken(reason=f"{kind}{reason[0] if reason else 'no message'}"))
        sys.exit(1)


def live(plan: Plan, interpreter_seconds: float, alive: Callable[[], None]) -> Iterator[Answer]:
    """Load, then a step at a time; ``alive`` is called after every query."""
    clock = _STARTED

    def lap() -> float:
        nonlocal clock
        before, clock = clock, time.monotonic()
        return clock - before

    from ... import audio
    from ...artifacts import read
    from ...runtimes import ENGINES, EngineOptions, Model, find_transform, load_engine
    from .memory import peak_rss_bytes

    import_seconds = lap()
    artifact = read(plan.artifact)
    read_seconds = lap()
    if artifact.manifest.engine in ENGINES:
        ENGINES[artifact.manifest.engine].import_module()
    import_seconds += lap()
    options = EngineOptions(device=plan.device, threads=plan.threads, cache=Path(plan.cache), trust_code=True)
    engine = load_engine(artifact, options)
    transform = find_transform(plan.features, artifact.manifest.front_end)
    compile_seconds = lap()
    first = audio.read(plan.first)
    # The clip is read before the clock goes on: a program that serves has its samples from elsewhere.
    lap()
    with Model(artifact, engine, transform=transform) as model:
        model.transcribe(first)
        yield Loaded(
            interpreter_seconds=interpreter_seconds,
            import_seconds=import_seconds,
            read_seconds=read_seconds,
            compile_seconds=compile_seconds,
            first_seconds=lap(),
        )
        for step in plan.steps:
            yield _answer(step, model, engine, plan.round, alive)
        yield Ended(peak_rss_bytes=peak_rss_bytes())


def _answer(step: Step, model: Model, engine: Engine, number: int, alive: Callable[[], None]) -> Answer:
    """Do one step of round ``number``."""
    if isinstance(step, Transcribe):
        return Transcripts(tokens=[_tokens(model, recording, alive) for recording in step.recordings])
    if isinstance(step, Logits):
        _write_logits(step, model, engine)
        return Written()
    return _measure(step, model, number, alive)


def _tokens(model: Model, recording: str, alive: Callable[[], None]) -> dict[str, list[str]]:
    transcript = model.transcribe(recording)
    alive()
    return {level: [token.text for token in result.tokens] for level, result in transcript.levels.items()}


def _write_logits(step: Logits, model: Model, engine: Engine) -> None:
    import numpy as np

    from ... import audio

    settings = model.manifest.front_end
    found: dict[str, Any] = {}
    for index, recording in enumerate(step.recordings):
        window = next(audio.windows(partial(audio.stream, recording), settings))
        features, lengths = audio.batch([window.inputs], settings)
        found |= {f"{index} {level}": logits[0] for level, logits in engine.infer(features, lengths).items()}
    np.savez(step.output, **found)


def _measure(step: Measure, model: Model, number: int, alive: Callable[[], None]) -> Measured:
    from ...audio import read
    from .memory import peak_rss_bytes
    from .scenarios import SCENARIOS, Setup

    setup = Setup(
        clips=tuple(read(clip) for clip in step.clips),
        batch=step.batch,
        min_seconds=step.min_seconds,
        min_queries=step.min_queries,
        latency_bound_seconds=step.latency_bound_seconds,
        rate_hz=step.rate_hz,
        seed=step.seed,
        round=number,
        alive=alive,
    )
    outcome = SCENARIOS[step.scenario](model, setup)
    return Measured(
        queries=outcome.queries,
        wall_seconds=outcome.wall_seconds,
        trials=outcome.trials,
        transcripts=[outcome.transcripts[place] for place in range(len(step.clips))],
        peak_rss_bytes=peak_rss_bytes(),
    )


def _claim_stdout() -> TextIO:
    """The real stdout for answers only; whatever libraries print goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _pulse(channel: TextIO) -> Callable[[], None]:
    """Says ``Alive``, but no more than once a second."""
    last = time.monotonic()

    def alive() -> None:
        nonlocal last
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            _send(channel, Alive())

    return alive


def _send(channel: TextIO, answer: Answer) -> None:
    channel.write(msgspec.json.encode(answer).decode() + "\n")
    channel.flush()


if __name__ == "__main__":
    main()
