"""The fastest artifact within limits, and the reasons against the others."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from qasr.bench.errors import BenchError
from qasr.bench.recommend import Limits, recommend, render

from .samples import accuracy, processes, report, row


@pytest.fixture
def measured():
    """RTF: base 0.05, quick 0.01, small 0.02, gone none."""
    return report(
        [
            row("base"),
            row("quick", (0.02,) * 3, accuracy=accuracy([4, 4], 0.02), size_bytes=8_000_000),
            row("small", (0.04,) * 3, accuracy=accuracy([1, 1], 0.001), size_bytes=2_000_000,
                processes=processes([2.0] * 3, [900_000_000] * 3)),
            row("gone", failure="dies", speeds=[], processes=[], accuracy=None),
        ]
    )  # fmt: skip


def names(recommendation):
    return [verdict.row.name for verdict in recommendation.others]


def test_without_limits_the_fastest(measured):
    actual = recommend(measured, Limits())
    assert actual.chosen.row.name == "quick"
    assert actual.chosen.rtf == pytest.approx(0.01)
    assert names(actual) == ["small", "base"]


@pytest.mark.parametrize(
    ("limits", "chosen", "broken"),
    [
        (Limits(max_delta=0.01), "small", {"quick": ("error rate +2.00 points, over +1.00 points",)}),
        (Limits(max_rss_bytes=500_000_000), "quick", {"small": ("peak memory 900.0 MB, over 500.0 MB",)}),
        (
            Limits(max_size_bytes=5_000_000),
            "small",
            {"base": ("size 10.0 MB, over 5.0 MB",), "quick": ("size 8.0 MB, over 5.0 MB",)},
        ),
        (Limits(max_load_seconds=1.5, max_delta=0.01), "base", {"small": ("load 2.00 s, over 1.50 s",)}),
        (Limits(max_rtf=0.015), "quick", {"base": ("RTF 0.0500, over 0.0150",), "small": ("RTF 0.0200, over 0.0150",)}),
    ],
)
def test_limits(measured, limits, chosen, broken):
    actual = recommend(measured, limits)
    assert actual.chosen.row.name == chosen
    reasons = {verdict.row.name: verdict.broken for verdict in actual.others if verdict.broken}
    assert reasons.items() >= broken.items()


def test_no_artifact_within_the_limits(measured):
    """``small`` is 0.1 over its limit of size, relatively; ``quick`` 3, ``base`` 4."""
    actual = recommend(measured, Limits(max_size_bytes=1_900_000))
    assert actual.chosen is None
    assert actual.nearest.row.name == "small"
    assert names(actual) == ["quick", "base"]
    console = Console(file=StringIO(), width=200)
    console.print(render(actual))
    assert console.file.getvalue().startswith(
        "No artifact is within the limits. Nearest: small (size 2.0 MB, over 1.9 MB)."
    )


def test_an_interval_beyond_the_limit_is_reported(measured):
    """+0.1 points within a limit of 0.2, but the interval reaches 0.3."""
    actual = recommend(measured, Limits(max_delta=0.002))
    assert actual.chosen.row.name == "small"
    assert (
        actual.chosen.caution == "Its error rate's delta is +0.10 points, but the interval of this data reaches +0.30."
    )
    console = Console(file=StringIO(), width=200)
    console.print(render(actual))
    assert "Recommended: small" in console.file.getvalue()
    assert "error rate +2.00 points" in console.file.getvalue()
    assert [row.name for row in actual.failed] == ["gone"]
    assert "failed: dies" in console.file.getvalue()


def test_a_short_disturbance_does_not_change_the_ranking():
    """Ten times as long in round 2, for all but one: RTF 0.12 and 0.03, but 0.5 and 0.6 of the baseline's time."""
    disturbed = report([row("base", (0.1, 1.0, 0.1)), row("fast", (0.05, 0.62, 0.05)), row("lucky", (0.06,) * 3)])
    actual = recommend(disturbed, Limits())
    assert actual.chosen.row.name == "fast"
    assert actual.chosen.rtf == pytest.approx(0.12)
    assert actual.others[0].rtf == pytest.approx(0.03)
    assert actual.others[0].relative_time == pytest.approx(0.6)


def test_a_failed_baseline():
    rows = [row("base", failure="dies", speeds=[], processes=[], accuracy=None), row("a"), row("b", (0.05,) * 3)]
    actual = recommend(report(rows), Limits())
    assert (actual.chosen.row.name, actual.chosen.relative_time) == ("b", None)
    assert names(actual) == ["a"]


def test_everything_failed():
    with pytest.raises(BenchError, match="every artifact failed"):
        recommend(report([row("a", failure="x", speeds=[], processes=[], accuracy=None)]), Limits())
