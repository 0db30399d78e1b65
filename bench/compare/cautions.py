"""Reasons not to trust a comparison: different conditions, a busy machine, too much scatter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..results import Report
from .changes import Pair

# Fraction of idle time from which a machine counts as quiet.
_QUIET = 0.9


def condition_cautions(
    before: Report, after: Report, measured: Sequence[Pair], reference: Pair | None
) -> Iterator[str]:
    """Differences between the two runs that may explain a change, and limits of the comparison."""
    if reference is None:
        yield "no baseline is in both reports: times are not compared"
    elif before.baseline != after.baseline:
        yield f"baseline: {before.baseline} before, {after.baseline} after; times are relative to {reference[0].name}"
    changed = [one.name for one, other in measured if one.digest != other.digest]
    if changed:
        yield f"another artifact under the same name: {', '.join(changed)}"
    if reference is not None and reference[0].name in changed:
        yield f"times are relative to {reference[0].name}, which is not the same artifact in both reports"
    if min(before.settings.rounds, after.settings.rounds) < 2:
        yield "a single round says nothing about noise: use at least three in both runs"
    early, late = _conditions(before), _conditions(after)
    for name in early | late:
        if early.get(name) != late.get(name):
            yield f"{name}: {early.get(name, 'none')} before, {late.get(name, 'none')} after"
    for when, report in (("before", before), ("after", after)):
        idle = report.environment.idle_share
        if idle < _QUIET:
            yield f"the machine was busy {when}: other programs used {100 * (1 - idle):.0f} % of its time"


def scatter_cautions(detectable: Mapping[str, float]) -> Iterator[str]:
    """A caution for figures that scatter so much that their lack of change means little."""
    blurred = [figure for figure, smallest in detectable.items() if 1.0 < smallest < math.inf]
    if blurred:
        yield (
            f"the rounds scatter so much that a doubling would go unnoticed in {'; '.join(blurred)}: "
            "measure both again with more rounds, or with nothing else running"
        )


def _conditions(report: Report) -> dict[str, object]:
    """Everything that should be equal in two runs."""
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
        "noise": "none" if settings.noise_db is None else f"{settings.noise_db:g} dB",
        **environment.libraries,
        **environment.variables,
    }
