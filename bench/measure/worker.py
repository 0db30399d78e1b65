"""The child process: ``python -m qasr.bench.measure.worker START`` loads one artifact and executes a plan.

START is the parent's monotonic clock when it started this process, in seconds. The plan is read from stdin. No engine
is imported before the clock of ``import_seconds`` runs.
"""

from __future__ import annotations

import time

# Read before any other import, so that the interpreter's start and qasr's imports are timed apart.
_STARTED = time.monotonic()

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from ..channel import claim_stdout, describe_error, send
from .messages import (
    Alive,
    Answer,
    Ended,
    Failed,
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
    """Execute the plan. Any exception becomes the last answer."""
    channel = claim_stdout()
    try:
        plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
        for answer in execute(plan, _STARTED - float(sys.argv[1]), _alive_sender(channel)):
            send(channel, answer)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # whatever an engine raises
        send(channel, Failed(reason=describe_error(error)))
        sys.exit(1)


def execute(plan: Plan, interpreter_seconds: float, alive: Callable[[], None]) -> Iterator[Answer]:
    """Load the artifact, then perform the steps. ``alive`` is called after every query."""
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
    # The user named this artifact for measurement, so its code may run.
    options = EngineOptions(device=plan.device, threads=plan.threads, cache=Path(plan.cache), trust_code=True)
    engine = load_engine(artifact, options)
    transform = find_transform(plan.features, artifact.manifest.front_end)
    compile_seconds = lap()
    first = audio.read(plan.first)
    # Reading the file is not timed: a server receives samples from its clients.
    lap()
    with Model(artifact, engine, transform=transform) as model:
        model.transcribe(first, sample_rate=audio.SAMPLE_RATE)
        yield Loaded(
            interpreter_seconds=interpreter_seconds,
            import_seconds=import_seconds,
            read_seconds=read_seconds,
            compile_seconds=compile_seconds,
            first_inference_seconds=lap(),
        )
        for step in plan.steps:
            yield _answer(step, model, engine, plan.round, alive)
        yield Ended(peak_rss_bytes=peak_rss_bytes())


def _answer(step: Step, model: Model, engine: Engine, number: int, alive: Callable[[], None]) -> Answer:
    """Perform one step of round ``number``."""
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

    front_end = model.manifest.front_end
    arrays: dict[str, Any] = {}
    for index, recording in enumerate(step.recordings):
        window = next(audio.windows(partial(audio.stream, recording), front_end))
        inputs, lengths = audio.batch([window.raw], front_end)
        arrays |= {f"{index} {level}": logits[0] for level, logits in engine.infer(inputs, lengths).items()}
    np.savez(step.output, **arrays)


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
        transcripts=[outcome.transcripts[index] for index in range(len(step.clips))],
        peak_rss_bytes=peak_rss_bytes(),
    )


def _alive_sender(channel: TextIO) -> Callable[[], None]:
    """A function that sends ``Alive``, at most once a second."""
    last = time.monotonic()

    def alive() -> None:
        nonlocal last
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            send(channel, Alive())

    return alive


if __name__ == "__main__":
    main()
