"""MLPerf's scenarios, run inside the child process on a loaded model.

Names and meanings are those of MLPerf Inference (Reddi et al. 2020, "MLPerf Inference Benchmark", section IV):
SingleStream issues the next query when the last is answered; MultiStream does so with several samples a query; Offline
has all samples at once; Server has queries arrive by a Poisson process and asks for a bound on the tail of the latency.
A sample is a clip, already in memory; what is timed is everything from there to the transcripts.
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

# Batches are formed here, so the model must never split one.
_ALL = math.inf
# Rates tried in a search: each halves the interval in which the highest lies.
_TRIALS = 6


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a scenario needs to know."""

    clips: tuple[Clip, ...]
    """float32 at 16 kHz."""
    batch: int
    """Clips that go through the engine together."""
    min_seconds: float
    min_queries: int
    latency_bound_seconds: float
    rate_hz: float | None
    seed: int
    round: int
    alive: Callable[[], None]
    """Called after every query, outside of its latency."""


@dataclass
class Outcome:
    """Raw samples."""

    queries: list[Query] = field(default_factory=list)
    wall_seconds: float = 0.0
    trials: list[Trial] = field(default_factory=list)
    transcripts: dict[int, list[str]] = field(default_factory=dict)
    """Place of a clip to the tokens of its first level."""


def single_stream(model: Model, setup: Setup) -> Outcome:
    """One clip a query, in the order given; whole passes, so that every artifact hears the same audio."""
    return _passes(model, setup, [[place] for place in range(len(setup.clips))])


def multi_stream(model: Model, setup: Setup) -> Outcome:
    """``batch`` clips a query, in the order given."""
    return _passes(model, setup, _chunks(_filled(setup), setup.batch))


def offline(model: Model, setup: Setup) -> Outcome:
    """All clips at once: sorted by length, so that little is padded, in batches of ``batch``."""
    order = sorted(_filled(setup), key=lambda place: -setup.clips[place].size)
    return _passes(model, setup, _chunks(order, setup.batch))


def server(model: Model, setup: Setup) -> Outcome:
    """Clips arrive by a Poisson process; those that wait when the engine is free go together, ``batch`` at most.

    With a rate given, one trial at that rate. Without, a search for the highest rate at which 99 % of the queries are
    answered within the bound: bisection between 0 and twice the rate of one clip after another. The queries
    reported are those of the best trial that held, or of the first where none did.
    """
    outcome = Outcome()
    alone = [[place] for place in range(len(setup.clips))]
    _warm_up(model, setup, alone)
    started = time.perf_counter()
    if setup.rate_hz is not None:
        _trial(model, setup, setup.rate_hz, outcome)
    else:
        low, high = 0.0, 2.0 / mean(query.compute_seconds for query in _once(model, setup, alone, {}))
        best: list[Query] = []
        for number in range(_TRIALS):
            rate = (low + high) / 2
            attempt = Outcome()
            holds = _trial(model, setup, rate, attempt)
            outcome.trials += attempt.trials
            outcome.transcripts |= attempt.transcripts
            if holds or number == 0:
                best = attempt.queries
            low, high = (rate, high) if holds else (low, rate)
        outcome.queries = best
    outcome.wall_seconds = time.perf_counter() - started
    _fill(model, setup, outcome)
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
    """Serve ``rate_hz`` for the minima; adds to the outcome and says whether the bound held."""
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
        together = [waiting.popleft() for _ in range(min(setup.batch, len(waiting)))]
        places = [number % len(setup.clips) for number in together]
        spent = _answer(model, setup, places, outcome.transcripts)
        done = time.perf_counter() - started
        for number, place in zip(together, places, strict=True):
            # Those of a batch share its time evenly.
            share = tuple(seconds / len(together) for seconds in spent)
            queries.append(_query(setup, [place], done - due[number], share))
        setup.alive()
    latency = float(np.percentile([query.latency_seconds for query in queries], 99, method="inverted_cdf"))
    holds = latency <= setup.latency_bound_seconds
    outcome.queries += queries
    outcome.trials.append(
        Trial(round=setup.round, rate_hz=rate_hz, queries=count, latency_seconds=latency, holds=holds)
    )
    return holds


def _passes(model: Model, setup: Setup, groups: Sequence[Sequence[int]]) -> Outcome:
    """Whole passes over the groups of clips, until the minima are met."""
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
    for places in groups:
        started = time.perf_counter()
        spent = _answer(model, setup, places, transcripts)
        queries.append(_query(setup, places, time.perf_counter() - started, spent))
        setup.alive()
    return queries


def _answer(model: Model, setup: Setup, places: Sequence[int], transcripts: dict[int, list[str]]) -> tuple[float, ...]:
    """Transcribe clips together; seconds of features, inference and decoding."""
    before = model.stopwatch.read()
    found = model.transcribe_batch([setup.clips[place] for place in places], batch_seconds=_ALL)
    spent = tuple(after - earlier for after, earlier in zip(model.stopwatch.read(), before, strict=True))
    first = model.levels[0]
    for place, transcript in zip(places, found, strict=True):
        transcripts[place] = [token.text for token in transcript.levels[first].tokens]
    return spent


def _query(setup: Setup, places: Sequence[int], latency_seconds: float, spent: tuple[float, ...]) -> Query:
    features, inference, decoding = spent
    return Query(
        round=setup.round,
        clips=len(places),
        audio_seconds=sum(setup.clips[place].size for place in places) / SAMPLE_RATE,
        latency_seconds=latency_seconds,
        features_seconds=features,
        inference_seconds=inference,
        decoding_seconds=decoding,
    )


def _warm_up(model: Model, setup: Setup, groups: Sequence[Sequence[int]]) -> None:
    """Hear every shape once: some engines compile, or choose kernels, for a shape that is new to them."""
    shapes = {(len(group), max(setup.clips[place].size for place in group)): group for group in groups}
    _once(model, setup, shapes.values(), {})


def _fill(model: Model, setup: Setup, outcome: Outcome) -> None:
    """Transcribe the clips that no query reached."""
    rest = [[place] for place in range(len(setup.clips)) if place not in outcome.transcripts]
    _once(model, setup, rest, outcome.transcripts)


def _filled(setup: Setup) -> list[int]:
    """Every clip, and again from the first one on where they are too few to fill a batch."""
    count = len(setup.clips)
    return [number % count for number in range(max(count, setup.batch))]


def _chunks(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
