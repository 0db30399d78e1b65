"""Comparison of reports: noise is noise, a loss is a loss."""

from __future__ import annotations

from io import StringIO

import msgspec
import numpy as np
import pytest
from rich.console import Console

from qasr.bench.compare import compare, render
from qasr.bench.errors import ReportError

from .samples import accuracy, report, row, visits, whole

NAMES = [f"artifact {number}" for number in range(14)]


def noisy(seed, *, machine=1.0, slow=None, wrong=None, hungry=None, rounds=5):
    """15 artifacts on a machine whose speed wanders by 20 % from round to round, and by 4 % more for each artifact."""
    rng = np.random.default_rng(seed)
    drift = machine * rng.lognormal(0, 0.2, rounds)

    def make(name, base):
        scatter = drift * rng.lognormal(0, 0.04, rounds) * (2.0 if name == slow else 1.0)
        loads = 1.0 * drift * rng.lognormal(0, 0.04, rounds)
        peaks = (2e8 * rng.lognormal(0, 0.004, rounds) * (1.3 if name == hungry else 1.0)).astype(int).tolist()
        edits = [1, 2, 1, *([2] * 20 if name == wrong else [])]
        return row(name, (base * scatter).tolist(), visits=visits(loads.tolist(), peaks), accuracy=accuracy(edits))

    return report([make(name, 0.1 / (1 + number)) for number, name in enumerate(["base", *NAMES])])


@pytest.mark.parametrize("seed", range(8))
def test_two_runs_of_the_same_differ_by_noise_alone(seed):
    """Though the machine is 40 % slower in the second."""
    comparison = compare(noisy(2 * seed), noisy(2 * seed + 1, machine=1.4))
    assert comparison.found == ()
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
    (change,) = comparison.found
    assert (change.artifact, change.figure, change.verdict) == (NAMES[3], figure, "worse")
    back = compare(noisy(100, **{fault: NAMES[3]}), noisy(101))
    assert [change.verdict for change in back.found] == ["better"]


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


def test_one_round_tells_nothing_about_noise():
    comparison = compare(report([row("base", [0.1]), row("a", [0.1])]), report([row("base", [0.1]), row("a", [0.9])]))
    assert comparison.found == ()


def test_the_same_report():
    comparison = compare(whole(), whole())
    assert comparison.found == ()
    assert comparison.machine == 0.0
    assert comparison.failures == ("gone still fails: killed by SIGSEGV: <oops>",)


def test_what_is_not_comparable():
    other = msgspec.structs.replace(report([row("a")]).data, sha256="1" * 64)
    with pytest.raises(ReportError, match="measured on different data"):
        compare(report([row("a")]), report([row("a")], data=other))
    with pytest.raises(ReportError, match="no artifact in common"):
        compare(report([row("a")]), report([row("b")]))


def test_failures_and_cautions():
    before = report([row("base"), row("a"), row("b", failure="hangs", speeds=[], visits=[], accuracy=None), row("old")])
    after = report([row("base"), row("a", failure="dies", speeds=[], visits=[], accuracy=None), row("b"), row("new")])
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
        "the machine was busy after: others took 50 % of its time",
    )


def said(comparison):
    console = Console(file=StringIO(), width=160)
    console.print(render(comparison))
    return console.file.getvalue()


def test_rendering():
    assert said(compare(noisy(1), noisy(2))).startswith("No difference beyond noise: ")
    text = said(compare(noisy(100), noisy(101, slow=NAMES[3])))
    assert text.startswith("1 figures worse and 0 better beyond noise")
    (line,) = (line for line in text.splitlines() if line.rstrip().endswith("worse"))
    assert NAMES[3] in line
