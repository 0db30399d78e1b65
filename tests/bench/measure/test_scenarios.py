"""The queries of each scenario, counted on a fake model."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from qasr.bench.measure.scenarios import SCENARIOS, Setup, arrivals
from qasr.runtimes import Stopwatch


class FakeModel:
    """Takes ``seconds`` for every call, whatever the batch, and transcribes a clip as its length in samples."""

    levels = ["letters"]  # noqa: RUF012

    def __init__(self, seconds=0.0):
        self.stopwatch = Stopwatch()
        self.seconds = seconds
        self.calls = []

    def transcribe_batch(self, clips, batch_seconds, sample_rate):
        assert sample_rate == 16_000
        assert batch_seconds >= 1e9  # never splits a batch
        self.calls.append([clip.size for clip in clips])
        with self.stopwatch.running("inference"):
            time.sleep(self.seconds)
        token = [[SimpleNamespace(text=str(clip.size))] for clip in clips]
        return [SimpleNamespace(levels={"letters": SimpleNamespace(tokens=tokens)}) for tokens in token]


def setup(sizes=(100, 300, 200, 400, 500), **changes):
    given = {
        "clips": tuple(np.zeros(size, np.float32) for size in sizes),
        "batch": 2,
        "min_seconds": 0.0,
        "min_queries": 1,
        "latency_bound_seconds": 1.0,
        "rate_hz": None,
        "seed": 0,
        "round": 3,
        "alive": lambda: None,
    }
    return Setup(**(given | changes))


def test_single_stream_has_one_clip_per_query():
    model = FakeModel()
    outcome = SCENARIOS["single-stream"](model, setup())
    warm_up, measured = model.calls[:5], model.calls[5:]
    assert sorted(warm_up) == [[100], [200], [300], [400], [500]]
    assert measured == [[100], [300], [200], [400], [500]]
    assert [query.clips for query in outcome.queries] == [1] * 5
    assert [query.audio_seconds for query in outcome.queries] == [size / 16_000 for size in (100, 300, 200, 400, 500)]
    assert {query.round for query in outcome.queries} == {3}
    assert outcome.transcripts == {0: ["100"], 1: ["300"], 2: ["200"], 3: ["400"], 4: ["500"]}


def test_multi_stream_has_several_clips_per_query_in_order():
    model = FakeModel()
    outcome = SCENARIOS["multi-stream"](model, setup())
    assert model.calls[-3:] == [[100, 300], [200, 400], [500]]
    assert [query.clips for query in outcome.queries] == [2, 2, 1]
    assert outcome.queries[1].audio_seconds == 600 / 16_000


def test_offline_sorts_by_length():
    model = FakeModel()
    outcome = SCENARIOS["offline"](model, setup())
    assert model.calls[-3:] == [[500, 400], [300, 200], [100]]
    assert outcome.transcripts == {0: ["100"], 1: ["300"], 2: ["200"], 3: ["400"], 4: ["500"]}


@pytest.mark.parametrize(
    ("scenario", "together"),
    [("multi-stream", [100, 300, 200, 100, 300, 200, 100]), ("offline", [300, 300, 200, 200, 100, 100, 100])],
)
def test_batches_are_filled_with_repeated_clips(scenario, together):
    model = FakeModel()
    outcome = SCENARIOS[scenario](model, setup((100, 300, 200), batch=7))
    assert model.calls == [together, together]  # warm-up and one pass
    assert [query.clips for query in outcome.queries] == [7]
    assert outcome.queries[0].audio_seconds == sum(together) / 16_000
    assert outcome.transcripts == {0: ["100"], 1: ["300"], 2: ["200"]}


def test_clips_of_one_length_are_warmed_up_once():
    model = FakeModel()
    SCENARIOS["single-stream"](model, setup((100, 100, 100)))
    assert len(model.calls) == 1 + 3


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
def test_minima_are_reached_in_full_passes(scenario):
    outcome = SCENARIOS[scenario](FakeModel(), setup(batch=1, min_queries=7))
    assert len(outcome.queries) == 10
    outcome = SCENARIOS[scenario](FakeModel(0.01), setup(batch=1, min_seconds=0.12))
    assert outcome.wall_seconds >= 0.12
    assert len(outcome.queries) % 5 == 0
    assert len(outcome.queries) >= 10


def test_time_is_divided_into_parts():
    outcome = SCENARIOS["single-stream"](FakeModel(0.02), setup())
    for query in outcome.queries:
        assert 0.02 <= query.inference_seconds <= query.latency_seconds
        assert query.features_seconds == query.decoding_seconds == 0.0


def test_alive_is_called_after_every_query():
    beats = []
    SCENARIOS["offline"](FakeModel(), setup(alive=lambda: beats.append(None)))
    assert len(beats) == 2 * 3  # warm-up and one pass


def test_arrivals_are_a_poisson_process():
    due = arrivals(20.0, 20_000, seed=1)
    gaps = np.diff(due)
    assert (gaps > 0).all()
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.03)
    # The deviation of an exponential distribution is its mean.
    assert gaps.std() == pytest.approx(1 / 20, rel=0.03)
    assert (arrivals(20.0, 10, seed=1) == due[:10]).all()
    assert (arrivals(20.0, 10, seed=2) != due[:10]).all()


def test_server_within_the_bound():
    model = FakeModel(0.002)
    outcome = SCENARIOS["server"](model, setup(rate_hz=100.0, min_queries=50, latency_bound_seconds=5.0))
    (trial,) = outcome.trials
    assert trial.within_bound
    assert (trial.round, trial.rate_hz, trial.queries) == (3, 100.0, 50)
    assert len(outcome.queries) == 50
    assert all(query.clips == 1 for query in outcome.queries)
    assert max(len(call) for call in model.calls) <= 2
    latencies = sorted(query.latency_seconds for query in outcome.queries)
    assert trial.latency_seconds == latencies[49]  # nearest rank of 99 % of 50
    assert len(outcome.transcripts) == 5


def test_queueing_counts_in_an_overloaded_server():
    """50 queries of 20 ms, two at a time, arriving at once, take 0.5 s: the last waits for that long."""
    outcome = SCENARIOS["server"](FakeModel(0.02), setup(rate_hz=10_000.0, min_queries=50, latency_bound_seconds=0.1))
    (trial,) = outcome.trials
    assert not trial.within_bound
    assert trial.latency_seconds >= 0.45
    first, last = outcome.queries[0], outcome.queries[-1]
    assert last.latency_seconds > first.latency_seconds
    # A batch of two shares its time: all queries together take no more than has passed since the first arrived, 5 ms
    # before the last.
    assert sum(query.inference_seconds for query in outcome.queries) <= last.latency_seconds + 0.005


def test_server_searches_for_the_highest_rate():
    """Alone a clip takes 10 ms; two together as long, so that up to 200 a second can be served."""
    outcome = SCENARIOS["server"](FakeModel(0.01), setup(min_queries=60, latency_bound_seconds=0.2))
    assert len(outcome.trials) == 6
    holding = [trial.rate_hz for trial in outcome.trials if trial.within_bound]
    failing = [trial.rate_hz for trial in outcome.trials if not trial.within_bound]
    assert holding
    assert all(high > max(holding) for high in failing)
    assert len(outcome.queries) >= 60
