"""Two reports: what got better or worse, and whether it is more than noise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .. import figures
from ..errors import ReportError
from ..results import Report
from .changes import MORE_IS_BETTER, PRACTICAL, Change, Pair, exact_changes, measured_changes, named
from .noise import beyond_noise

SIGNIFICANCE = 0.01
"""Chance of one false alarm in a whole comparison."""

# Share of idle time from which a machine counts as quiet.
_QUIET = 0.9
# Logarithm of a factor that no machine makes: as much as nothing is known of the noise.
_UNKNOWN = 10.0


@dataclass(frozen=True)
class Comparison:
    """All changes; a verdict other than "same" holds after correction for their number."""

    changes: tuple[Change, ...]
    reference: str | None
    """The artifact to which times are relative, in both reports; None where there is none."""
    machine: float | None
    """Change of the reference's own computing time: how much slower or faster the machine was."""
    visible: dict[str, float]
    """Figure that scatters to the smallest relative change that would have counted (median over the artifacts)."""
    only_before: tuple[str, ...]
    """Artifacts, and measurements, that only the first report has."""
    only_after: tuple[str, ...]
    failures: tuple[str, ...]
    """A line for each artifact that fails in one of the reports."""
    cautions: tuple[str, ...]

    @property
    def found(self) -> tuple[Change, ...]:
        """Changes beyond noise."""
        return tuple(change for change in self.changes if change.verdict != "same")


def compare(before: Report, after: Report) -> Comparison:
    """Compare rows of the same name. Raises ReportError where the data differ, or no row is in both.

    A change counts where it is larger than ``PRACTICAL`` and its chance holds after Holm's correction. Figures that did
    not change at all are not counted as tests: no relabelling of the runs could make them differ (Tarone 1990, "A
    modified Bonferroni method for discrete data").
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
    visible = _visible(changes)
    return Comparison(
        changes=tuple(_judged(changes)),
        reference=reference[0].name if reference else None,
        machine=_machine(reference),
        visible=visible,
        only_before=tuple(_only(before, after)),
        only_after=tuple(_only(after, before)),
        failures=tuple(_failures(pairs)),
        cautions=(*_blind(visible), *_cautions(before, after, measured, reference)),
    )


def _judged(changes: Sequence[Change]) -> Iterator[Change]:
    tests = [place for place, change in enumerate(changes) if change.change]
    certain = {tests[rank] for rank in beyond_noise([changes[place].chance for place in tests], SIGNIFICANCE)}
    for place, change in enumerate(changes):
        if place in certain and abs(change.change) > PRACTICAL[change.kind]:
            grew = change.change > 0
            yield replace(change, verdict="better" if grew == (change.kind in MORE_IS_BETTER) else "worse")
        else:
            yield change


def _visible(changes: Sequence[Change]) -> dict[str, float]:
    tests = max(sum(change.change != 0 for change in changes), 1)
    found: dict[str, list[float]] = defaultdict(list)
    for change in changes:
        if change.shift is not None:
            logarithm = change.shift.visible(SIGNIFICANCE / tests)
            smallest = math.expm1(logarithm) if logarithm < _UNKNOWN else math.inf
            found[change.figure].append(max(smallest, PRACTICAL[change.kind]))
    return {figure: median(values) for figure, values in found.items()}


def _machine(reference: Pair | None) -> float | None:
    """Median change of the reference's own computing time over all that was measured of it in both."""
    if reference is None:
        return None
    pairs = [(speed, figures.find(reference[1], speed)) for speed in reference[0].speeds]
    ratios = [figures.rtf(again.queries) / figures.rtf(speed.queries) for speed, again in pairs if again is not None]
    return median(ratios) - 1 if ratios else None


def _only(one: Report, other: Report) -> Iterator[str]:
    """Names and measurements that ``other`` lacks."""
    yield from (row.name for row in one.rows if all(row.name != there.name for there in other.rows))
    there = {figures.key(speed) for row in other.rows for speed in row.speeds}
    speeds = {figures.key(speed): speed for row in one.rows for speed in row.speeds}
    yield from (named(speed) for key, speed in speeds.items() if key not in there)


def _failures(pairs: Sequence[Pair]) -> Iterator[str]:
    for one, other in pairs:
        if other.failure is not None:
            yield f"{one.name} {'still fails' if one.failure else 'fails now'}: {other.failure}"
        elif one.failure is not None:
            yield f"{one.name} failed before ({one.failure}) and works now"


def _cautions(before: Report, after: Report, measured: Sequence[Pair], reference: Pair | None) -> Iterator[str]:
    """Differences between the runs that may be the reason for a change, and what limits the comparison."""
    if reference is None:
        yield "no baseline is in both reports: times are not compared"
    elif before.baseline != after.baseline:
        yield f"baseline: {before.baseline} before, {after.baseline} after; times are relative to {reference[0].name}"
    others = [one.name for one, other in measured if one.digest != other.digest]
    if others:
        yield f"another artifact under the same name: {', '.join(others)}"
    if reference is not None and reference[0].name in others:
        yield f"times are relative to {reference[0].name}, which is itself another one"
    if min(before.settings.rounds, after.settings.rounds) < 2:
        yield "a single round tells nothing about noise: use at least three in both runs"
    early, late = _conditions(before), _conditions(after)
    for what in early | late:
        if early.get(what) != late.get(what):
            yield f"{what}: {early.get(what, 'none')} before, {late.get(what, 'none')} after"
    for when, report in (("before", before), ("after", after)):
        idle = report.environment.idle_share
        if idle < _QUIET:
            yield f"the machine was busy {when}: others took {100 * (1 - idle):.0f} % of its time"


def _blind(visible: dict[str, float]) -> Iterator[str]:
    """What scatters so much that a comparison without a finding says little."""
    blurred = [figure for figure, smallest in visible.items() if 1.0 < smallest < math.inf]
    if blurred:
        yield (
            f"the rounds scatter so much that twice as much would not show in {'; '.join(blurred)}: "
            "measure both again with more rounds, or with nothing else running"
        )


def _conditions(report: Report) -> dict[str, object]:
    """Everything that should be the same in two runs."""
    environment, settings = report.environment, report.settings
    return {
        "qasr": report.qasr_version,
        "processor": environment.processor,
        "cores": environment.cores,
        "CPU features": " ".join(environment.flags),
        "governor": environment.governor or "unknown",
        "system": environment.system,
        "GPUs": ", ".join(f"{gpu.name}, driver {gpu.driver}" for gpu in environment.gpus) or "none",
        "python": environment.python,
        "device": settings.device,
        "features": settings.features,
        "min-seconds": settings.min_seconds,
        "min-queries": settings.min_queries,
        "latency-bound": settings.latency_bound_seconds,
        "seed": settings.seed,
        **environment.libraries,
        **environment.variables,
    }


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
            Text(
                f"The machine: {comparison.reference}, to which times are relative, took "
                f"{100 * comparison.machine:+.1f} % itself."
            )
        )
    parts += [Text(f"only before: {name}") for name in comparison.only_before]
    parts += [Text(f"only after: {name}") for name in comparison.only_after]
    parts += [Text(f"caution: {line}", style="yellow") for line in comparison.cautions]
    if comparison.visible:
        parts += [_visible_table(comparison)]
    return Group(*parts, _changes_table(comparison))


def _visible_table(comparison: Comparison) -> Table:
    table = Table("measured in rounds", "a change counts from", box=None)
    for figure, smallest in comparison.visible.items():
        table.add_row(figure, f"{100 * smallest:.0f} %" if smallest < math.inf else "unknown")
    return table


def _changes_table(comparison: Comparison) -> Table:
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
    return table
