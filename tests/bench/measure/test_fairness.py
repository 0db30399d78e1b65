"""Faulty artifacts: each becomes a failed row, or is measured within a stated error."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.bench import figures
from qasr.bench.measure.options import Options
from qasr.bench.measure.run import Benchmark

from ..conftest import ODD_WORKER
from .odd_worker import LEAK_BYTES, SLEEP_SECONDS

FEW = {"threads": (1,), "rounds": 2, "min_seconds": 0.0, "min_queries": 1, "batches": (2,)}


def bench(data, artifacts, **changes):
    options = Options(**(FEW | changes))
    return Benchmark(artifacts, data, options, baseline=artifacts[0], command=ODD_WORKER).run(["qbench"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lies", "error rate"),
        ("mute", "empty"),
        ("cheats", "% from the expected ones"),
        ("dies", "killed by SIGSEGV"),
        ("exits", "exit code 3: the driver went away"),
        ("raises", "ZeroDivisionError: by nothing"),
        ("hangs", "hangs: no answer for 2 s"),
        ("dies-loading", "exit code 9"),
        ("crashes-at-the-end", "exit code 7"),
    ],
)
def test_faults_become_failed_rows(tone_data, named, name, reason):
    """A failed row has a reason and no figures; the others are measured."""
    report = bench(tone_data, [named("good"), named(name)], timeout_seconds=2.0)
    good, bad = report.rows
    assert good.failure is None
    assert good.speeds
    assert reason in bad.failure
    assert (bad.speeds, bad.processes, bad.accuracy) == ([], [], None)


def test_output_on_stdout_is_not_an_answer(tone_data, named):
    (good, chatty) = bench(tone_data, [named("good"), named("chatters")]).rows
    assert chatty.failure is None
    assert len(chatty.speeds) == len(good.speeds) == 2


def test_sleep_counts_as_time(tone_data, named):
    """Every inference sleeps 50 ms, which is in all latencies, as inference, within 20 ms in the fastest query."""
    good, slow = bench(tone_data, [named("good"), named("sleeps")], scenarios=("single-stream",)).rows
    quietest = [min(query.inference_seconds for query in row.speeds[0].queries) for row in (slow, good)]
    assert quietest[0] - quietest[1] == pytest.approx(SLEEP_SECONDS, abs=0.02)
    for query in slow.speeds[0].queries:
        assert query.latency_seconds >= query.inference_seconds >= SLEEP_SECONDS
        assert query.features_seconds < SLEEP_SECONDS
    assert slow.processes[0].first_inference_seconds >= SLEEP_SECONDS


def test_a_leak_counts_as_memory(tone_data, named):
    """Every inference keeps 4 MB. In a process: one to load, three to warm up, five measured; to within 8 MB."""
    good, leaky = bench(tone_data, [named("good"), named("leaks")], scenarios=("single-stream",)).rows
    grown = figures.peak_rss_bytes(leaky) - figures.peak_rss_bytes(good)
    assert grown == pytest.approx(9 * LEAK_BYTES, abs=8e6)


def test_peak_memory_is_the_childs_own(tone_data, named):
    """The parent's memory is not counted, although its children are forked from it."""
    hoard = np.ones(400_000_000, np.uint8)
    (good,) = bench(tone_data, [named("good")]).rows
    assert 20e6 < figures.peak_rss_bytes(good) < 300e6
    assert hoard.size == 400_000_000


def test_a_baseline_that_fails_ends_the_run(tone_data, named):
    from qasr.bench.errors import BenchError

    with pytest.raises(BenchError, match="the baseline dies-loading failed: exit code 9"):
        bench(tone_data, [named("dies-loading"), named("good")])
