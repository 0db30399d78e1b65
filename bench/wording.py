"""Formats of figures, shared by the terminal and the page."""

from __future__ import annotations

from . import figures
from .results import Accuracy, Figure, Interval, Report, Row, Speed


def percent(share: float, digits: int = 2) -> str:
    """A fraction in percent: 0.0123 as 1.23."""
    return f"{100 * share:.{digits}f}"


def points(delta: Interval | None) -> str:
    """A difference of error rates in percentage points, with a tilde if it is noise; empty for the baseline."""
    if delta is None:
        return ""
    return f"{100 * delta.value:+.2f}{' ~' if delta.is_noise else ''}"


AGREEMENT = ("differ %", "same %")
"""Heads of ``agreement_cells``."""


def agreement_cells(accuracy: Accuracy | None) -> list[str]:
    """Edits to the baseline's transcripts over their length, and the share of equal transcripts; empty for itself."""
    if accuracy is None or accuracy.disagreement is None or accuracy.unchanged is None:
        return ["", ""]
    return [percent(accuracy.disagreement), percent(accuracy.unchanged, 1)]


def noise_heads(noise_db: float) -> list[str]:
    """Heads of ``noise_cells``."""
    return [f"{noise_db:g} dB {name}" for name in ("%", "delta", *AGREEMENT)]


def noise_cells(noisy: Accuracy | None) -> list[str]:
    """First level's error rate with noise, its difference from the baseline's, and the agreement with the baseline."""
    if noisy is None:
        return [""] * 4
    return [percent(noisy.first.rate), points(noisy.first_delta), *agreement_cells(noisy)]


def figure_with_delta(figure: Figure, factor: int = 1) -> str:
    """A figure, its difference from the baseline's, and a tilde if that is noise."""
    value, delta = f"{factor * figure.value:.3f}", figure.delta
    return value if delta is None else f"{value} {factor * delta.value:+.3f}{' ~' if delta.is_noise else ''}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, with about three significant digits."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def megabytes(count: float) -> str:
    """Bytes as MB (10^6 bytes), with about three significant digits."""
    value = count / 1e6
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def recipe(row: Row) -> str:
    """Target and method."""
    return row.target if row.method is None else f"{row.target}, {row.method}"


def clip(speed: Speed) -> str:
    """The clips of a measurement: unchanged recordings, or clips of one length."""
    return "recordings" if speed.clip_seconds is None else f"{speed.clip_seconds:g} s"


def times_baseline(speed: Speed, report: Report) -> str:
    """Compute time over the baseline's; empty if the baseline was not measured in that setting."""
    base = figures.find(report.row(report.baseline), speed)
    if base is None or not figures.relative_times(speed, base):
        return ""
    return f"{figures.relative_time(speed, base):.2f} x"
