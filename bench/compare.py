"""Two reports: what got better or worse, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text
from scipy import stats

from . import figures
from .errors import ReportError
from .results import LevelErrors, Report, Row, Speed, Visit
from .statistics import bootstrap_delta

Verdict = Literal["better", "worse", "same"]

SIGNIFICANCE = 0.01
"""Chance of one false alarm in a whole comparison."""

# Relative changes that nobody would act on, however certain.
_PRACTICAL = {"time": 0.05, "load": 0.10, "memory": 0.03, "size": 0.005, "errors": 0.0}


@dataclass(frozen=True)
class Change:
    """One figure of one artifact in both reports; what is larger is worse."""

    artifact: str
    kind: str
    """Of ``_PRACTICAL``: figures of a kind share their noise."""
    figure: str
    before: float
    after: float
    change: float
    """Relative, except for error rates: there the difference of the shares."""
    chance: float
    """Probability of a change as large from noise alone (p value)."""
    verdict: Verdict = "same"


@dataclass(frozen=True)
class Comparison:
    """All changes; a verdict other than "same" holds after correction for their number."""

    changes: tuple[Change, ...]
    machine: float | None
    """Change of the baseline's own computing time: how much slower or faster the machine was."""
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    failures: tuple[str, ...]
    """A line for each artifact that fails in one of the reports."""
    cautions: tuple[str, ...]

    @property
    def found(self) -> tuple[Change, ...]:
        """Changes beyond noise."""
        return tuple(change for change in self.changes if change.verdict != "same")


@dataclass(frozen=True)
class _Samples:
    """Logarithms of a figure, one a round; those of different artifacts scatter alike."""

    artifact: str
    kind: str
    figure: str
    before: list[float]
    after: list[float]


def compare(before: Report, after: Report) -> Comparison:
    """Compare rows of the same name. Raises ReportError where the data differ, or no row is in both.

    Times are compared as ratios to the same round's baseline, so that a slower machine cancels out. Noise is the
    scatter between rounds, pooled over artifacts (few rounds of one tell little); Student's t test, then Holm's
    correction over all figures ("A simple sequentially rejective multiple test procedure", 1979). Error rates on the
    same recordings by the paired bootstrap.
    """
    if before.data.sha256 != after.data.sha256:
        raise ReportError(
            f"the reports were measured on different data ({before.data.name}, {after.data.name}): not comparable"
        )
    names = [row.name for row in before.rows if any(row.name == other.name for other in after.rows)]
    if not names:
        raise ReportError("the reports have no artifact in common")
    pairs = [(before.row(name), after.row(name)) for name in names]
    measured = [(one, other) for one, other in pairs if one.failure is None and other.failure is None]
    changes = [*_timed(before, after, measured), *_exact(measured), *_errors(measured)]
    return Comparison(
        changes=tuple(_judged(changes)),
        machine=_machine(before, after),
        only_before=tuple(row.name for row in before.rows if row.name not in names),
        only_after=tuple(row.name for row in after.rows if row.name not in names),
        failures=tuple(_failures(pairs)),
        cautions=tuple(_cautions(before, after)),
    )


def _timed(before: Report, after: Report, pairs: Sequence[tuple[Row, Row]]) -> list[Change]:
    """What scatters from round to round."""
    samples = [sample for pair in pairs for sample in _samples(before, after, *pair)]
    changes = []
    for kind in dict.fromkeys(sample.kind for sample in samples):
        alike = [sample for sample in samples if sample.kind == kind]
        groups = [np.array(values) for sample in alike for values in (sample.before, sample.after)]
        degrees = sum(len(values) - 1 for values in groups)
        scatter = sum(float(np.square(values - values.mean()).sum()) for values in groups)
        for sample in alike:
            difference = fmean(sample.after) - fmean(sample.before)
            error = math.sqrt(scatter / max(degrees, 1) * (1 / len(sample.before) + 1 / len(sample.after)))
            # The baseline's scatter is in all ratios, so that pooling adds less certainty than it adds samples: the
            # degrees of freedom are those of one artifact.
            freedom = len(sample.before) + len(sample.after) - 2
            chance = 2 * float(stats.t.sf(abs(difference) / error, freedom)) if error else float(difference == 0)
            changes.append(
                Change(
                    sample.artifact,
                    kind,
                    sample.figure,
                    math.exp(fmean(sample.before)),
                    math.exp(fmean(sample.after)),
                    math.expm1(difference),
                    # One round in each says nothing about noise.
                    chance if freedom else 1.0,
                )
            )
    return changes


def _samples(before: Report, after: Report, one: Row, other: Row) -> Iterator[_Samples]:
    bases = before.row(before.baseline), after.row(after.baseline)
    if one.name not in (before.baseline, after.baseline):
        for speed in one.speeds:
            again = figures.find(other, speed)
            times = [
                figures.relative_times(measured, base) if measured and (base := figures.find(row, speed)) else []
                for measured, row in zip((speed, again), bases, strict=True)
            ]
            if all(times):
                logs = [[math.log(ratio) for ratio in ratios] for ratios in times]
                yield _Samples(one.name, "time", f"relative time, {_named(speed)}", *logs)
        loads = [_by_round(row, _load, base) for row, base in zip((one, other), bases, strict=True)]
        if all(loads):
            yield _Samples(one.name, "load", "relative warm load", *loads)
    peaks = [_by_round(row, lambda visit: visit.peak_rss_bytes / 1e6) for row in (one, other)]
    if all(peaks):
        yield _Samples(one.name, "memory", "peak memory, MB", *peaks)


def _load(visit: Visit) -> float:
    return visit.load_seconds


def _by_round(row: Row, figure: Callable[[Visit], float], base: Row | None = None) -> list[float]:
    """Logarithm of a figure of each warm visit, over the baseline's in the same round where one is given."""
    own = {(visit.round, visit.threads): figure(visit) for visit in row.visits if visit.round}
    if base is None:
        return [math.log(value) for value in own.values()]
    over = {(visit.round, visit.threads): figure(visit) for visit in base.visits}
    return [math.log(value / over[place]) for place, value in own.items() if place in over]


def _exact(pairs: Sequence[tuple[Row, Row]]) -> Iterator[Change]:
    """What does not scatter."""
    for one, other in pairs:
        change = other.size_bytes / one.size_bytes - 1
        yield Change(
            one.name, "size", "size, MB", one.size_bytes / 1e6, other.size_bytes / 1e6, change, float(not change)
        )


def _errors(pairs: Sequence[tuple[Row, Row]]) -> Iterator[Change]:
    for one, other in pairs:
        if one.accuracy is None or other.accuracy is None:
            continue
        both = {
            f"{level} error rate": (errors, other.accuracy.levels[level])
            for level, errors in one.accuracy.levels.items()
            if level in other.accuracy.levels
        }
        for figure, early, late in (
            ("WER", one.accuracy.words, other.accuracy.words),
            ("CER", one.accuracy.characters, other.accuracy.characters),
        ):
            if early is not None and late is not None:
                both[figure] = (early, late)
        for figure, (early, late) in both.items():
            yield _error_change(one.name, figure, early, late)


def _error_change(name: str, figure: str, early: LevelErrors, late: LevelErrors) -> Change:
    chance = 1.0
    change = late.rate - early.rate
    if early.edits != late.edits:
        interval = bootstrap_delta([late], [early], seed=0)
        # The interval spans 2 x 1.96 standard errors.
        error = (interval.high - interval.low) / 3.92
        chance = 2 * float(stats.norm.sf(abs(change) / error)) if error else 0.0
    return Change(name, "errors", figure, early.rate, late.rate, change, chance)


def _judged(changes: Sequence[Change]) -> Iterator[Change]:
    """Holm's correction: the smallest of n chances is held against 0.01 / n, the next against 0.01 / (n - 1), ..."""
    order = sorted(range(len(changes)), key=lambda place: changes[place].chance)
    certain: set[int] = set()
    for rank, place in enumerate(order):
        if changes[place].chance > SIGNIFICANCE / (len(changes) - rank):
            break
        certain.add(place)
    for place, change in enumerate(changes):
        if place in certain and abs(change.change) > _PRACTICAL[change.kind]:
            yield replace(change, verdict="worse" if change.change > 0 else "better")
        else:
            yield change


def _machine(before: Report, after: Report) -> float | None:
    """Median change of the baseline's own computing time over all that was measured of it in both."""
    ratios = []
    for speed in before.row(before.baseline).speeds:
        again = figures.find(after.row(after.baseline), speed)
        if again is not None:
            ratios.append(figures.rtf(again.queries) / figures.rtf(speed.queries))
    return median(ratios) - 1 if ratios and before.baseline == after.baseline else None


def _failures(pairs: Sequence[tuple[Row, Row]]) -> Iterator[str]:
    for one, other in pairs:
        if other.failure is not None:
            yield f"{one.name} {'still fails' if one.failure else 'fails now'}: {other.failure}"
        elif one.failure is not None:
            yield f"{one.name} failed before ({one.failure}) and works now"


def _cautions(before: Report, after: Report) -> Iterator[str]:
    """Differences between the runs that may be the reason for a change."""
    one, other = before.environment, after.environment
    for what, early, late in (
        ("processor", one.processor, other.processor),
        ("cores", one.cores, other.cores),
        ("governor", one.governor, other.governor),
        ("system", one.system, other.system),
        ("python", one.python, other.python),
        ("baseline", before.baseline, after.baseline),
    ):
        if early != late:
            yield f"{what}: {early} before, {late} after"
    for library in sorted(one.libraries.keys() | other.libraries.keys()):
        early, late = one.libraries.get(library), other.libraries.get(library)
        if early != late:
            yield f"{library}: {early or 'not installed'} before, {late or 'not installed'} after"
    for when, environment in (("before", one), ("after", other)):
        if environment.idle_share < 0.9:
            yield f"the machine was busy {when}: others took {100 * (1 - environment.idle_share):.0f} % of its time"


def render(comparison: Comparison) -> Group:
    """The answer in a sentence, what changed beyond noise, and every figure's change."""
    found, artifacts = comparison.found, {change.artifact for change in comparison.changes}
    if found or comparison.failures:
        worse = sum(change.verdict == "worse" for change in found)
        headline = f"{worse} figures worse and {len(found) - worse} better beyond noise"
    else:
        headline = "No difference beyond noise"
    parts: list[Table | Text] = [
        Text(f"{headline}: {len(comparison.changes)} figures of {len(artifacts)} artifacts compared.", style="bold")
    ]
    parts += [Text(line, style="red") for line in comparison.failures]
    if comparison.machine is not None:
        parts.append(
            Text(f"The baseline itself took {100 * comparison.machine:+.1f} % more time: that is the machine.")
        )
    parts += [Text(f"only before: {name}") for name in comparison.only_before]
    parts += [Text(f"only after: {name}") for name in comparison.only_after]
    parts += [Text(f"caution: {line}", style="yellow") for line in comparison.cautions]
    table = Table("artifact", "figure", "before", "after", "change", "p", "", box=None)
    for change in sorted(comparison.changes, key=lambda change: (change.verdict == "same", change.chance)):
        shares = change.kind == "errors"
        if shares and change.verdict == "same" and change.change == 0:
            continue
        table.add_row(
            change.artifact,
            change.figure,
            f"{100 * change.before:.2f} %" if shares else f"{change.before:.4g}",
            f"{100 * change.after:.2f} %" if shares else f"{change.after:.4g}",
            f"{100 * change.change:+.2f} points" if shares else f"{100 * change.change:+.1f} %",
            f"{change.chance:.2g}",
            "" if change.verdict == "same" else change.verdict,
            style={"better": "green", "worse": "red"}.get(change.verdict),
        )
    return Group(*parts, table)


def _named(speed: Speed) -> str:
    clip = "recordings" if speed.clip_seconds is None else f"{speed.clip_seconds:g} s"
    return f"{speed.scenario}, {clip}, {speed.threads} threads, batch {speed.batch}"
