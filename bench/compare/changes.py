"""The figures that two reports share, each with the probability that its change is noise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from .. import figures
from ..results import LevelErrors, Row, Speed
from .noise import Shift, shifts, swap_chance

Verdict = Literal["better", "worse", "same"]
Pair = tuple[Row, Row]
"""An artifact before and after."""

PRACTICAL = {"time": 0.05, "rate": 0.10, "load": 0.10, "memory": 0.03, "size": 0.005, "errors": 0.0}
"""By kind of figure: relative changes too small to act on, however certain."""

MORE_IS_BETTER = frozenset({"rate"})
"""Kinds of figures of which more is better; less is better for all others."""


@dataclass(frozen=True)
class Change:
    """One figure of one artifact in both reports."""

    artifact: str
    kind: str
    """A key of ``PRACTICAL``."""
    figure: str
    before: float
    after: float
    change: float
    """Relative change; for error rates the difference of the rates."""
    chance: float
    """Probability of a change as large from noise alone (p value)."""
    shift: Shift | None = None
    """Shift of the figure's logarithm, if it was measured in rounds."""
    verdict: Verdict = "same"


@dataclass(frozen=True)
class _Rounds:
    """Logarithms of a figure, one per round."""

    artifact: str
    kind: str
    figure: str
    before: list[float]
    after: list[float]


def measured_changes(pairs: Sequence[Pair], reference: Pair | None) -> list[Change]:
    """Changes of what scatters from round to round: compute time, load time, the highest rate of a server, memory.

    Times are ratios to ``reference`` in the same round, so that a slower machine cancels out. Without a reference no
    times are compared. Latency and throughput are left out: outside the scenario server they follow from compute time.
    """
    by_figure: dict[str, list[_Rounds]] = defaultdict(list)
    for pair in pairs:
        for rounds in [*_times(pair, reference), *_loads(pair, reference), *_peaks(pair)]:
            by_figure[rounds.figure].append(rounds)
    changes = []
    for group in by_figure.values():
        group_shifts = shifts([rounds.before for rounds in group], [rounds.after for rounds in group])
        for rounds, shift in zip(group, group_shifts, strict=True):
            before, after = math.exp(fmean(rounds.before)), math.exp(fmean(rounds.after))
            relative = math.expm1(shift.value)
            changes.append(
                Change(rounds.artifact, rounds.kind, rounds.figure, before, after, relative, shift.chance, shift)
            )
    return changes


def exact_changes(pairs: Sequence[Pair]) -> Iterator[Change]:
    """Changes of what does not scatter: size, and error rates on the same recordings."""
    for one, other in pairs:
        change = other.size_bytes / one.size_bytes - 1
        before, after = one.size_bytes / 1e6, other.size_bytes / 1e6
        yield Change(one.name, "size", "size, MB", before, after, change, float(not change))
        early, late = _errors(one), _errors(other)
        for figure in early:
            if figure in late:
                yield _error_change(one.name, figure, early[figure], late[figure])


def describe(speed: Speed) -> str:
    """Scenario, clips, threads and batch size in words."""
    clip = "recordings" if speed.clip_seconds is None else f"{speed.clip_seconds:g} s"
    return f"{speed.scenario}, {clip}, {speed.threads} threads, batch {speed.batch}"


def _times(pair: Pair, reference: Pair | None) -> Iterator[_Rounds]:
    if reference is None or pair[0].name == reference[0].name:
        return
    for speed in pair[0].speeds:
        measured = [
            (figures.find(row, speed), figures.find(base, speed)) for row, base in zip(pair, reference, strict=True)
        ]
        times = [figures.relative_times(own, base) if own and base else [] for own, base in measured]
        if all(times):
            yield _Rounds(pair[0].name, "time", f"relative time, {describe(speed)}", *map(_logs, times))
        rates = [_relative_rates(own, base) if own and base else [] for own, base in measured]
        if all(rates):
            yield _Rounds(pair[0].name, "rate", f"relative rate, {describe(speed)}", *map(_logs, rates))


def _relative_rates(speed: Speed, base: Speed) -> list[float]:
    """Highest rate within the bound over the reference's, by round; empty if the rate was fixed or never within it."""
    own, other = _rates(speed), _rates(base)
    ratios = [own[number] / other[number] for number in own if other.get(number)]
    return ratios if all(ratios) else []


def _rates(speed: Speed) -> dict[int, float]:
    tried: dict[int, list[float]] = defaultdict(list)
    for trial in speed.trials:
        tried[trial.round].append(trial.rate_hz if trial.within_bound else 0.0)
    return {number: max(rates) for number, rates in tried.items() if len(rates) > 1}


def _loads(pair: Pair, reference: Pair | None) -> Iterator[_Rounds]:
    if reference is None or pair[0].name == reference[0].name:
        return
    for threads, name in _threads(pair):
        ratios = [
            [
                process.load_seconds / base.load_seconds
                for process in row.processes
                for base in other.processes
                if process.round
                and process.threads == threads
                and (process.round, threads) == (base.round, base.threads)
            ]
            for row, other in zip(pair, reference, strict=True)
        ]
        if all(ratios):
            yield _Rounds(pair[0].name, "load", f"relative warm load{name}", *map(_logs, ratios))


def _peaks(pair: Pair) -> Iterator[_Rounds]:
    for threads, name in _threads(pair):
        peaks = [
            [process.peak_rss_bytes / 1e6 for process in row.processes if process.round and process.threads == threads]
            for row in pair
        ]
        if all(peaks):
            yield _Rounds(pair[0].name, "memory", f"peak memory{name}, MB", *map(_logs, peaks))


def _threads(pair: Pair) -> list[tuple[int, str]]:
    """Thread counts of the processes, each with the suffix that distinguishes it if there are several."""
    counts = sorted({process.threads for row in pair for process in row.processes if process.round})
    return [(count, f", {count} threads" if len(counts) > 1 else "") for count in counts]


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def _errors(row: Row) -> dict[str, LevelErrors]:
    if row.accuracy is None:
        return {}
    rates = {f"{level} error rate": errors for level, errors in row.accuracy.levels.items()}
    others = {"WER": row.accuracy.words, "CER": row.accuracy.characters}
    others["error rate with noise"] = row.noisy.first if row.noisy else None
    return rates | {name: errors for name, errors in others.items() if errors is not None}


def _error_change(name: str, figure: str, early: LevelErrors, late: LevelErrors) -> Change:
    chance = swap_chance(early.edits, late.edits)
    return Change(name, "errors", figure, early.rate, late.rate, late.rate - early.rate, chance)
