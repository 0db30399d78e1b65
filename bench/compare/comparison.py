"""What got better or worse between two reports, by more than noise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from .. import figures
from ..errors import ReportError
from ..results import Report
from .cautions import condition_cautions, scatter_cautions
from .changes import MORE_IS_BETTER, PRACTICAL, Change, Pair, describe, exact_changes, measured_changes
from .noise import beyond_noise

SIGNIFICANCE = 0.01
"""Probability of one false alarm in a whole comparison."""

# Logarithm of a factor that no machine reaches: the noise is as good as unknown.
_UNKNOWN = 10.0


@dataclass(frozen=True)
class Comparison:
    """All changes. A verdict other than "same" remains after the correction for their number."""

    changes: tuple[Change, ...]
    reference: str | None
    """The artifact to which times are relative in both reports; None if there is none."""
    machine: float | None
    """Relative change of the reference's own compute time: how much slower or faster the machine was."""
    detectable: dict[str, float]
    """For each figure measured in rounds, the smallest relative change that would count (median over the artifacts)."""
    only_before: tuple[str, ...]
    """Artifacts and measurements that only the first report has."""
    only_after: tuple[str, ...]
    failures: tuple[str, ...]
    """A line for each artifact that failed in one of the reports."""
    cautions: tuple[str, ...]

    @property
    def significant(self) -> tuple[Change, ...]:
        """Changes beyond noise."""
        return tuple(change for change in self.changes if change.verdict != "same")


def compare(before: Report, after: Report) -> Comparison:
    """Compare rows of the same name. Raises ReportError if the data differ, or no row is in both reports.

    A change counts if it is larger than ``PRACTICAL`` and significant after Holm's correction. Figures that did not
    change at all are not counted as tests, because no relabelling of the runs could make them differ (Tarone 1990,
    "A modified Bonferroni method for discrete data").
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
    reference = next(
        (pair for name in (before.baseline, after.baseline) for pair in measured if pair[0].name == name), None
    )
    changes = [*measured_changes(measured, reference), *exact_changes(measured)]
    detectable = _detectable(changes)
    return Comparison(
        changes=tuple(_with_verdicts(changes)),
        reference=reference[0].name if reference else None,
        machine=_machine(reference),
        detectable=detectable,
        only_before=tuple(_only(before, after)),
        only_after=tuple(_only(after, before)),
        failures=tuple(_failures(pairs)),
        cautions=(*scatter_cautions(detectable), *condition_cautions(before, after, measured, reference)),
    )


def _with_verdicts(changes: Sequence[Change]) -> Iterator[Change]:
    tests = [index for index, change in enumerate(changes) if change.change]
    certain = {tests[rank] for rank in beyond_noise([changes[index].chance for index in tests], SIGNIFICANCE)}
    for index, change in enumerate(changes):
        if index in certain and abs(change.change) > PRACTICAL[change.kind]:
            grew = change.change > 0
            yield replace(change, verdict="better" if grew == (change.kind in MORE_IS_BETTER) else "worse")
        else:
            yield change


def _detectable(changes: Sequence[Change]) -> dict[str, float]:
    tests = max(sum(change.change != 0 for change in changes), 1)
    smallest: dict[str, list[float]] = defaultdict(list)
    for change in changes:
        if change.shift is not None:
            logarithm = change.shift.detectable(SIGNIFICANCE / tests)
            relative = math.expm1(logarithm) if logarithm < _UNKNOWN else math.inf
            smallest[change.figure].append(max(relative, PRACTICAL[change.kind]))
    return {figure: median(values) for figure, values in smallest.items()}


def _machine(reference: Pair | None) -> float | None:
    """Median change of the reference's own compute time over all measurements that both reports have."""
    if reference is None:
        return None
    pairs = [(speed, figures.find(reference[1], speed)) for speed in reference[0].speeds]
    ratios = [figures.rtf(again.queries) / figures.rtf(speed.queries) for speed, again in pairs if again is not None]
    return median(ratios) - 1 if ratios else None


def _only(one: Report, other: Report) -> Iterator[str]:
    """Artifacts and measurements that ``other`` lacks."""
    yield from (row.name for row in one.rows if all(row.name != another.name for another in other.rows))
    available = {figures.key(speed) for row in other.rows for speed in row.speeds}
    speeds = {figures.key(speed): speed for row in one.rows for speed in row.speeds}
    yield from (describe(speed) for key, speed in speeds.items() if key not in available)


def _failures(pairs: Sequence[Pair]) -> Iterator[str]:
    for one, other in pairs:
        if other.failure is not None:
            yield f"{one.name} {'still fails' if one.failure else 'fails now'}: {other.failure}"
        elif one.failure is not None:
            yield f"{one.name} failed before ({one.failure}) and works now"
