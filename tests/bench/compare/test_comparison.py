"""Comparison of reports: noise is not reported, real losses are."""

from __future__ import annotations

from io import StringIO

import msgspec
import numpy as np
import pytest
from rich.console import Console

from qasr.bench.compare.comparison import compare
from qasr.bench.compare.render import render
from qasr.bench.errors import ReportError
from qasr.bench.results import Accuracy, LevelErrors, Trial

from ..samples import accuracy, full_report, processes, report, row, speed

NAMES = [f"artifact {number}" for number in range(14)]


def noisy(seed, *, machine=1.0, slow=None, wrong=None, hungry=None, rounds=5):
    """15 artifacts; the machine's speed varies by 20 % between rounds, and by another 4 % between artifacts."""
    rng = np.random.default_rng(seed)
    drift = machine * rng.lognormal(0, 0.2, rounds)

    def make(name, base):
        scatter = drift * rng.lognormal(0, 0.04, rounds) * (2.0 if name == slow else 1.0)
        loads = 1.0 * drift * rng.lognormal(0, 0.04, rounds)
        peaks = (2e8 * rng.lognormal(0, 0.004, rounds) * (1.3 if name == hungry else 1.0)).astype(int).tolist()
        edits = [1, 2, 1, *([2] * 20 if name == wrong else [])]
        return row(
            name, (base * scatter).tolist(), processes=processes(loads.tolist(), peaks), accuracy=accuracy(edits)
        )

    return report([make(name, 0.1 / (1 + number)) for number, name in enumerate(["base", *NAMES])])


@pytest.mark.parametrize("seed", range(8))
def test_two_runs_of_the_same_differ_by_noise_alone(seed):
    """Although the machine is 40 % slower in the second run."""
    comparison = compare(noisy(2 * seed), noisy(2 * seed + 1, machine=1.4))
    assert comparison.significant == ()
    assert len(comparison.changes) > 60
    assert comparison.machine > 0.1


@pytest.mark.parametrize(
    ("fault", "figure"),
    [
        ("slow", "relative time, single-stream, recordings, 2 threads, batch 1"),
        ("wrong", "phonemes error rate"),
        ("hungry", "peak memory, MB"),
    ],
)
def test_a_real_loss_is_found_and_nothing_else(fault, figure):
    comparison = compare(noisy(100), noisy(101, **{fault: NAMES[3]}))
    (change,) = comparison.significant
    assert (change.artifact, change.figure, change.verdict) == (NAMES[3], figure, "worse")
    back = compare(noisy(100, **{fault: NAMES[3]}), noisy(101))
    assert [change.verdict for change in back.significant] == ["better"]


def test_figures_of_a_change():
    before, after = (
        report([row("base"), row("a")]),
        report([row("base"), row("a", (0.1, 0.2, 0.4), size_bytes=5_000_000)]),
    )
    changes = {change.figure: change for change in compare(before, after).changes if change.artifact == "a"}
    time = changes["relative time, single-stream, recordings, 2 threads, batch 1"]
    # The geometric mean of 1, 2 and 4.
    assert (time.before, time.after, time.change) == pytest.approx((1.0, 2.0, 1.0))
    size = changes["size, MB"]
    assert (size.before, size.after, size.change, size.verdict) == (10.0, 5.0, -0.5, "better")
    assert changes["phonemes error rate"].change == 0.0


def test_one_round_says_nothing_about_noise():
    def once(seconds):
        one_report = report([row("base", [0.1]), row("a", [seconds])])
        return msgspec.structs.replace(one_report, settings=msgspec.structs.replace(one_report.settings, rounds=1))

    comparison = compare(once(0.1), once(0.9))
    assert comparison.significant == ()
    assert comparison.cautions == ("a single round says nothing about noise: use at least three in both runs",)
    (line,) = (line for line in rendered(comparison).splitlines() if line.startswith(" relative time"))
    assert line.split()[-1] == "unknown"


def test_a_disturbed_run_causes_a_caution():
    """The baseline took three times as long in two of five rounds, so finding no change means little."""
    base = row("base", (0.1, 0.3, 0.1, 0.1, 0.25))
    before, after = report([base, row("a", (0.1,) * 5)]), report([row("base", (0.1,) * 5), row("a", (0.13,) * 5)])
    comparison = compare(before, after)
    assert comparison.significant == ()
    assert comparison.cautions == (
        "the rounds scatter so much that a doubling would go unnoticed in relative time, single-stream, recordings, "
        "2 threads, batch 1: measure both again with more rounds, or with nothing else running",
    )


def test_the_same_report():
    comparison = compare(full_report(), full_report())
    assert comparison.significant == ()
    assert comparison.machine == 0.0
    assert comparison.failures == ("gone still fails: killed by SIGSEGV: <oops>",)


def test_reports_that_cannot_be_compared():
    other = msgspec.structs.replace(report([row("a")]).data, sha256="1" * 64)
    with pytest.raises(ReportError, match="measured on different data"):
        compare(report([row("a")]), report([row("a")], data=other))
    with pytest.raises(ReportError, match="no artifact in common"):
        compare(report([row("a")]), report([row("b")]))


def test_failures_and_cautions():
    before = report(
        [row("base"), row("a"), row("b", failure="hangs", speeds=[], processes=[], accuracy=None), row("old")]
    )
    after = report(
        [row("base"), row("a", failure="dies", speeds=[], processes=[], accuracy=None), row("b"), row("new")]
    )
    environment = msgspec.structs.replace(
        after.environment, processor="Other CPU", libraries={"onnxruntime": "1.33", "torch": "2.13"}, idle_share=0.5
    )
    comparison = compare(before, msgspec.structs.replace(after, environment=environment))
    assert comparison.failures == ("a fails now: dies", "b failed before (hangs) and works now")
    assert comparison.only_before == ("old",)
    assert comparison.only_after == ("new",)
    assert comparison.cautions == (
        "processor: Some CPU before, Other CPU after",
        "onnxruntime: 1.32 before, 1.33 after",
        "torch: none before, 2.13 after",
        "the machine was busy after: other programs used 50 % of its time",
    )


def test_only_common_figures_are_compared_and_the_others_are_listed():
    before = report([row("base"), row("a")])
    ten = [speed([0.5] * 3, clip_seconds=10.0, audio=10.0)]
    after = report([row("base", speeds=ten), row("a", speeds=ten)])
    comparison = compare(before, after)
    assert comparison.only_before == ("single-stream, recordings, 2 threads, batch 1",)
    assert comparison.only_after == ("single-stream, 10 s, 2 threads, batch 1",)
    assert not [change for change in comparison.changes if change.kind == "time"]
    assert comparison.machine is None


def test_another_baseline_changes_nothing():
    """Both runs measured base, at 0.1 s, and a, at 0.05 s; the times stay relative to base."""
    rows = [row("base"), row("a", (0.05,) * 3), row("b", (0.2,) * 3)]
    comparison = compare(report(rows), report(rows, baseline="a"))
    assert comparison.significant == ()
    assert comparison.reference == "base"
    (ratio,) = (change.after for change in comparison.changes if (change.artifact, change.kind) == ("b", "time"))
    assert ratio == pytest.approx(2.0)
    assert comparison.cautions == ("baseline: base before, a after; times are relative to base",)


def test_without_a_common_baseline_no_times_are_compared():
    comparison = compare(report([row("one"), row("a")]), report([row("two"), row("a", (0.9,) * 3)]))
    assert {change.kind for change in comparison.changes} == {"memory", "size", "errors"}
    assert comparison.reference is None
    assert comparison.cautions == ("no baseline is in both reports: times are not compared",)


def test_other_artifacts_and_settings_are_cautions():
    before, after = report([row("base"), row("a")]), report([row("base", digest="x"), row("a", digest="y")])
    settings = msgspec.structs.replace(after.settings, rounds=1, min_seconds=9.0)
    environment = msgspec.structs.replace(after.environment, flags=["avx2", "amx"], variables={"OMP_NUM_THREADS": "1"})
    comparison = compare(before, msgspec.structs.replace(after, settings=settings, environment=environment))
    assert comparison.cautions == (
        "another artifact under the same name: base, a",
        "times are relative to base, which is not the same artifact in both reports",
        "a single round says nothing about noise: use at least three in both runs",
        "CPU features: avx2 before, avx2 amx after",
        "min-seconds: 1.0 before, 9.0 after",
        "OMP_NUM_THREADS: none before, 1 after",
    )


def test_the_highest_rate_of_a_server():
    """More is better: three times the rate of the baseline before, half of it after."""

    def serving(rate):
        trials = [
            Trial(round=number, rate_hz=tried, queries=9, latency_seconds=0.4, within_bound=tried == rate)
            for number in (1, 2, 3)
            for tried in (rate, 2 * rate)
        ]
        return [speed([0.1] * 3, "server", batch=8, trials=trials)]

    before = report([row("base", speeds=serving(10)), row("a", speeds=serving(30))])
    after = report([row("base", speeds=serving(10)), row("a", speeds=serving(5))])
    (change,) = compare(before, after).significant
    assert change.figure == "relative rate, server, recordings, 2 threads, batch 8"
    assert (change.before, change.after, change.verdict) == (pytest.approx(3.0), pytest.approx(0.5), "worse")
    assert compare(after, before).significant[0].verdict == "better"


def test_thread_counts_are_not_mixed():
    """Memory differs between one and two threads, which is not scatter."""

    def one_report(factor):
        peaks = {1: 200e6, 2: 400e6}
        seen = [
            msgspec.structs.replace(
                processes([1.0], [int(peaks[threads] * factor * (1 + number / 1e4))])[1], round=number, threads=threads
            )
            for number in (1, 2, 3)
            for threads in (1, 2)
        ]
        return report([row("base"), row("a", processes=seen)])

    changes = {change.figure: change for change in compare(one_report(1.0), one_report(1.1)).significant}
    assert set(changes) == {"peak memory, 1 threads, MB", "peak memory, 2 threads, MB"}
    assert changes["peak memory, 2 threads, MB"].before == pytest.approx(400.08, abs=0.01)


def test_the_smallest_detectable_change():
    """Time: variance 0.02 ** 2, five rounds each, one artifact."""
    logs = np.array([-0.02, -0.02, 0.0, 0.02, 0.02]) * (5 / 4) ** 0.5
    logs *= 0.02 / logs.std(ddof=1)
    times = (0.1 * np.exp(logs)).tolist()
    again = (0.1 * np.exp(logs + 0.01)).tolist()
    comparison = compare(
        report([row("base", (0.1,) * 5), row("a", times)]), report([row("base", (0.1,) * 5), row("a", again)])
    )
    assert comparison.significant == ()
    # One test only. t of 0.005 with 8 degrees of freedom is 3.355; the error 0.02 * sqrt(2 / 5).
    smallest = comparison.detectable["relative time, single-stream, recordings, 2 threads, batch 1"]
    assert smallest == pytest.approx(np.expm1(3.355 * 0.02 * 0.4**0.5), abs=0.01)


def as_measured(seed, slow=None):
    """15 artifacts that scatter as in a real run on two shared cores: single-stream by 0.2, offline by 0.08."""
    rng = np.random.default_rng(seed)

    def times(name, base, scatter):
        return (base * (2.0 if name == slow else 1.0) * rng.lognormal(0, scatter / 2**0.5, 5)).tolist()

    def make(name):
        speeds = [speed(times(name, 0.1, 0.2)), speed(times(name, 0.6, 0.08), "offline", batch=8, audio=16.0)]
        loads = rng.lognormal(0, 0.12, 5).tolist()
        return row(
            name, speeds=speeds, processes=processes(loads, (2e8 * rng.lognormal(0, 0.005, 5)).astype(int).tolist())
        )

    return report([make(name) for name in ["base", *NAMES]])


def test_twice_as_slow_is_found_in_real_noise_and_nothing_else_is():
    for seed in range(0, 40, 4):
        assert compare(as_measured(seed), as_measured(seed + 1)).significant == ()
        changes = compare(as_measured(seed + 2), as_measured(seed + 3, NAMES[3])).significant
        assert {change.artifact for change in changes} == {NAMES[3]}
        assert "relative time, offline, recordings, 2 threads, batch 8" in {change.figure for change in changes}
        assert {change.verdict for change in changes} == {"worse"}


def test_a_point_of_phoneme_errors():
    """Significant on as much data as is bundled (160 recordings of 28 phonemes), not on a tenth of it."""

    def one_report(count, rate):
        edits = [int((index + 1) * rate * 28) - int(index * rate * 28) for index in range(count)]
        errors = LevelErrors(edits=edits, lengths=[28] * count)
        return report([row("base"), row("a", accuracy=Accuracy(levels={"phonemes": errors}))])

    (change,) = compare(one_report(160, 0.01), one_report(160, 0.02)).significant
    assert (change.artifact, change.figure, change.verdict) == ("a", "phonemes error rate", "worse")
    assert change.change == pytest.approx(0.01, abs=1e-4)
    few = compare(one_report(16, 0.01), one_report(16, 0.02))
    (change,) = (change for change in few.changes if change.figure == "phonemes error rate" and change.artifact == "a")
    assert (change.change, change.verdict) == (pytest.approx(0.01, abs=0.003), "same")


def rendered(comparison):
    console = Console(file=StringIO(), width=160)
    console.print(render(comparison))
    return console.file.getvalue()


def test_rendering():
    assert rendered(compare(noisy(1), noisy(2))).startswith("No difference beyond noise: ")
    text = rendered(compare(noisy(100), noisy(101, slow=NAMES[3])))
    assert text.startswith("1 figures worse and 0 better beyond noise")
    (line,) = (line for line in text.splitlines() if line.rstrip().endswith("worse"))
    assert NAMES[3] in line
