"""The recommended artifact: the fastest one within all limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import figures
from .errors import BenchError
from .results import Report, Row


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper limits; None means no limit."""

    max_rss_bytes: int | None = None
    max_size_bytes: int | None = None
    max_delta: float | None = None
    """Increase of the first level's error rate over the baseline's, as a fraction; the interval does not count."""
    max_load_seconds: float | None = None
    """From the start of a process to its first transcript, warm."""
    max_rtf: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One artifact compared with the limits."""

    row: Row
    rtf: float
    relative_time: float | None
    """Compute time over the baseline's, median over the rounds; None if the baseline failed."""
    broken: tuple[str, ...]
    """A line for each limit that is exceeded."""
    excess: float
    """Sum of the relative excesses over the limits."""
    caution: str | None = None

    @property
    def rank(self) -> float:
        """Smaller is faster: the relative time, which a short disturbance does not change, else the RTF."""
        return self.rtf if self.relative_time is None else self.relative_time


@dataclass(frozen=True)
class Recommendation:
    """``chosen`` is None if no artifact is within the limits; ``nearest`` is then the one with the least excess."""

    chosen: Verdict | None
    nearest: Verdict | None
    others: tuple[Verdict, ...]
    """All other artifacts: those within the limits, fastest first, then those that exceed them."""
    failed: tuple[Row, ...] = ()
    """Artifacts that could not be measured."""


def recommend(report: Report, limits: Limits) -> Recommendation:
    """The fastest row within all limits. Raises BenchError if every row failed."""
    baseline = report.row(report.baseline)
    verdicts = [_verdict(row, baseline, limits) for row in report.rows if row.failure is None and row.speeds]
    if not verdicts:
        raise BenchError("nothing to recommend: every artifact failed")
    fits = sorted((verdict for verdict in verdicts if not verdict.broken), key=lambda verdict: verdict.rank)
    breaks = sorted((verdict for verdict in verdicts if verdict.broken), key=lambda verdict: verdict.excess)
    failed = tuple(row for row in report.rows if row.failure is not None)
    if fits:
        return Recommendation(fits[0], None, (*fits[1:], *breaks), failed)
    return Recommendation(None, breaks[0], tuple(breaks[1:]), failed)


def render(recommendation: Recommendation) -> Group:
    """The recommendation in one sentence, and a table of the others with the reasons against them."""
    chosen, nearest = recommendation.chosen, recommendation.nearest
    if chosen is not None:
        lead = f"Recommended: {chosen.row.name}, the fastest within the limits ({_summary(chosen)})."
        caution = f" {chosen.caution}" if chosen.caution else ""
        headline = Text(lead + caution, style="bold")
    else:
        assert nearest is not None
        headline = Text(
            f"No artifact is within the limits. Nearest: {nearest.row.name} ({'; '.join(nearest.broken)}).",
            style="bold",
        )
    table = Table("artifact", "figures", "why not", box=None)
    for verdict in recommendation.others:
        table.add_row(verdict.row.name, _summary(verdict), "; ".join(verdict.broken) or "slower")
    for row in recommendation.failed:
        table.add_row(row.name, "", f"failed: {row.failure}")
    return Group(headline, table)


def _verdict(row: Row, baseline: Row, limits: Limits) -> Verdict:
    speed = figures.main_speed(row)
    assert speed is not None
    base = figures.find(baseline, speed)
    rtf = figures.rtf(speed.queries)
    broken = list(_broken(row, rtf, limits))
    caution = None
    delta = row.accuracy.first_delta if row.accuracy else None
    if limits.max_delta is not None and delta is not None and delta.value <= limits.max_delta < delta.high:
        caution = (
            f"Its error rate's delta is {100 * delta.value:+.2f} points, "
            f"but the interval of this data reaches {100 * delta.high:+.2f}."
        )
    reasons, excess = tuple(line for line, _ in broken), sum(excess for _, excess in broken)
    return Verdict(row, rtf, figures.relative_time(speed, base) if base else None, reasons, excess, caution)


def _broken(row: Row, rtf: float, limits: Limits) -> Iterator[tuple[str, float]]:
    """A line and the relative excess for each limit that the row exceeds."""
    delta = row.accuracy.first_delta.value if row.accuracy and row.accuracy.first_delta else 0.0
    load = figures.warm_load_seconds(row)
    rss = figures.peak_rss_bytes(row)
    # Value, limit, name, format.
    checks = (
        (rss, limits.max_rss_bytes, "peak memory", _megabytes),
        (row.size_bytes, limits.max_size_bytes, "size", _megabytes),
        (delta, limits.max_delta, "error rate", lambda share: f"{100 * share:+.2f} points"),
        (load, limits.max_load_seconds, "load", lambda seconds: f"{seconds:.2f} s"),
        (rtf, limits.max_rtf, "RTF", lambda value: f"{value:.4f}"),
    )
    for value, limit, name, text in checks:
        if limit is not None and value > limit:
            yield f"{name} {text(value)}, over {text(limit)}", (value - limit) / max(abs(limit), 1e-4)


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"


def _summary(verdict: Verdict) -> str:
    row = verdict.row
    delta = row.accuracy.first_delta if row.accuracy else None
    unchanged = row.accuracy.unchanged if row.accuracy else None
    same = "" if unchanged is None else f", {100 * unchanged:.1f} % of transcripts unchanged"
    relative = "" if verdict.relative_time is None else f", {verdict.relative_time:.2f} x the baseline's time"
    return (
        f"RTF {verdict.rtf:.4f}{relative}, "
        f"{_megabytes(row.size_bytes)}, peak {_megabytes(figures.peak_rss_bytes(row))}, "
        f"error rate {f'{100 * delta.value:+.2f} points' if delta else 'the baseline'}{same}"
    )
