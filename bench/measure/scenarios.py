"""MLPerf's scenarios, run in the child process on a loaded model.

Names and meanings are those of MLPerf Inference (Reddi et al. 2020, "MLPerf Inference Benchmark", section IV).
SingleStream issues a query as soon as the previous one is answered. MultiStream does the same with several samples per
query. Offline has all samples at once. In Server, queries arrive by a Poisson process, and the tail of the latency is
bounded. A sample is a clip in memory; the time from there to the transcripts is measured.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from ...audio import SAMPLE_RATE
from ...runtimes import Model
from ..results import Query, Trial

Clip = NDArray[np.float32]

# The scenarios form the batches, so the model must not split them: more seconds than any batch has.
_BATCH_SECONDS = 1e9
# Steps of the search for the highest rate; each halves the interval.
_TRIALS = 6


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The input of a scenario."""

    clips: tuple[Clip, ...]
    """float32 at 16 kHz."""
    batch: int
    """Clips in one inference."""
    min_seconds: float
    min_queries: int
    latency_bound_seconds: float
    rate_hz: float | None
    seed: int
    round: int
    alive: Callable[[], None]
    """Called after every query; its time does not count."""


@dataclass
class Outcome:
    """The raw samples of a scenario."""

    queries: list[Query] = field(default_factory=list)
    wall_seconds: float = 0.0
    trials: list[Trial] = field(default_factory=list)
    transcripts: dict[int, list[str]] = field(default_factory=dict)
    """Index of a clip to the tokens of its first level."""


def single_stream(model: Model, setup: Setup) -> Outcome:
    """One clip per query, in the given order. Only full passes, so that all artifacts process the same audio."""
    return _passes(model, setup, [[index] for index in range(len(setup.clips))])


def multi_stream(model: Model, setup: Setup) -> Outcome:
    """``batch`` clips per query, in the given order."""
    return _passes(model, setup, _chunks(_full_batches(setup), setup.batch))


def offline(model: Model, setup: Setup) -> Outcome:
    """All clips at once, in batches of ``batch``, sorted by length to minimize padding."""
    order = sorted(_full_batches(setup), key=lambda index: -setup.clips[index].size)
    return _passes(model, setup, _chunks(order, setup.batch))


def server(model: Model, setup: Setup) -> Outcome:
    """Clips arrive by a Poisson process. When the engine is free, up to ``batch`` waiting clips form a batch.

    With ``rate_hz``: one trial at that rate. Without: a search for the highest rate at which 99 % of the queries are
    answered within the bound, by bisection between 0 and twice the rate of single clips in sequence. The reported
    queries are those of the highest rate within the bound, or of the first trial if none was.
    """
    outcome = Outcome()
    single = [[index] for index in range(len(setup.clips))]
    _warm_up(model, setup, single)
    started = time.perf_counter()
    if setup.rate_hz is not None:
        _trial(model, setup, setup.rate_hz, outcome)
    else:
        low, high = 0.0, 2.0 / mean(query.compute_seconds for query in _once(model, setup, single, {}))
        best: list[Query] = []
        for number in range(_TRIALS):
            rate = (low + high) / 2
            attempt = Outcome()
            within_bound = _trial(model, setup, rate, attempt)
            outcome.trials += attempt.trials
            outcome.transcripts |= attempt.transcripts
            if within_bound or number == 0:
                best = attempt.queries
            low, high = (rate, high) if within_bound else (low, rate)
        outcome.queries = best
    outcome.wall_seconds = time.perf_counter() - started
    _complete(model, setup, outcome)
    return outcome


SCENARIOS: dict[str, Callable[[Model, Setup], Outcome]] = {
    "single-stream": single_stream,
    "multi-stream": multi_stream,
    "offline": offline,
    "server": server,
}


def arrivals(rate_hz: float, count: int, seed: int) -> NDArray[np.float64]:
    """Seconds at which ``count`` queries arrive: the sums of exponential gaps with the mean 1 / ``rate_hz``."""
    return np.random.default_rng(seed).exponential(1.0 / rate_hz, count).cumsum()


def _trial(model: Model, setup: Setup, rate_hz: float, outcome: Outcome) -> bool:
    """Serve at ``rate_hz`` until both minima are reached. Extends the outcome; returns whether the bound was met."""
    count = max(setup.min_queries, math.ceil(rate_hz * setup.min_seconds))
    due = arrivals(rate_hz, count, setup.seed).tolist()
    waiting: deque[int] = deque()
    arrived = 0
    queries: list[Query] = []
    started = time.perf_counter()
    while len(queries) < count:
        now = time.perf_counter() - started
        while arrived < count and due[arrived] <= now:
            waiting.append(arrived)
            arrived += 1
        if not waiting:
            time.sleep(max(0.0, due[arrived] - now))
            continue
        batch = [waiting.popleft() for _ in range(min(setup.batch, len(waiting)))]
        indices = [number % len(setup.clips) for number in batch]
        spent = _answer(model, setup, indices, outcome.transcripts)
        done = time.perf_counter() - started
        for number, index in zip(batch, indices, strict=True):
            # The compute time of a batch is divided evenly among its clips.
            share = tuple(seconds / len(batch) for seconds in spent)
            queries.append(_query(setup, [index], done - due[number], share))
        setup.alive()
    latency = float(np.percentile([query.latency_seconds for query in queries], 99, method="inverted_cdf"))
    within_bound = latency <= setup.latency_bound_seconds
    outcome.queries += queries
    outcome.trials.append(
        Trial(round=setup.round, rate_hz=rate_hz, queries=count, latency_seconds=latency, within_bound=within_bound)
    )
    return within_bound


def _passes(model: Model, setup: Setup, groups: Sequence[Sequence[int]]) -> Outcome:
    """Full passes over the groups of clips until both minima are reached."""
    outcome = Outcome()
    _warm_up(model, setup, groups)
    started = time.perf_counter()
    while outcome.wall_seconds < setup.min_seconds or len(outcome.queries) < setup.min_queries:
        outcome.queries += _once(model, setup, groups, outcome.transcripts)
        outcome.wall_seconds = time.perf_counter() - started
    return outcome


def _once(
    model: Model, setup: Setup, groups: Iterable[Sequence[int]], transcripts: dict[int, list[str]]
) -> list[Query]:
    queries = []
    for indices in groups:
        started = time.perf_counter()
        spent = _answer(model, setup, indices, transcripts)
        queries.append(_query(setup, indices, time.perf_counter() - started, spent))
        setup.alive()
    return queries


def _answer(model: Model, setup: Setup, indices: Sequence[int], transcripts: dict[int, list[str]]) -> tuple[float, ...]:
    """Transcribe a batch of clips. Returns the seconds of features, inference and decoding."""
    before = model.stopwatch.read()
    clips = [setup.clips[index] for index in indices]
    results = model.transcribe_batch(clips, batch_seconds=_BATCH_SECONDS, sample_rate=SAMPLE_RATE)
    spent = tuple(after - earlier for after, earlier in zip(model.stopwatch.read(), before, strict=True))
    first = model.levels[0]
    for index, transcript in zip(indices, results, strict=True):
        transcripts[index] = [token.text for token in transcript.levels[first].tokens]
    return spent


def _query(setup: Setup, indices: Sequence[int], latency_seconds: float, spent: tuple[float, ...]) -> Query:
    features, inference, decoding = spent
    return Query(
        round=setup.round,
        clips=len(indices),
        audio_seconds=sum(setup.clips[index].size for index in indices) / SAMPLE_RATE,
        latency_seconds=latency_seconds,
        features_seconds=features,
        inference_seconds=inference,
        decoding_seconds=decoding,
    )


def _warm_up(model: Model, setup: Setup, groups: Sequence[Sequence[int]]) -> None:
    """Run every shape once: some engines compile, or choose kernels, for a new shape."""
    shapes = {(len(group), max(setup.clips[index].size for index in group)): group for group in groups}
    _once(model, setup, shapes.values(), {})


def _complete(model: Model, setup: Setup, outcome: Outcome) -> None:
    """Transcribe the clips that were in no query."""
    rest = [[index] for index in range(len(setup.clips)) if index not in outcome.transcripts]
    _once(model, setup, rest, outcome.transcripts)


def _full_batches(setup: Setup) -> list[int]:
    """Indices of all clips, repeated from the first one if they are too few to fill a batch."""
    count = len(setup.clips)
    return [number % count for number in range(max(count, setup.batch))]


def _chunks(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
