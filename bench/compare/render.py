"""A comparison as text and tables for the terminal."""

from __future__ import annotations

import math

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .comparison import Comparison


def render(comparison: Comparison) -> Group:
    """The result in one sentence, failures and cautions, the detectable changes, and every figure's change."""
    significant, artifacts = comparison.significant, {change.artifact for change in comparison.changes}
    if significant or comparison.failures:
        worse = sum(change.verdict == "worse" for change in significant)
        headline = f"{worse} figures worse and {len(significant) - worse} better beyond noise"
    else:
        headline = "No difference beyond noise"
    parts: list[Table | Text] = [
        Text(f"{headline}: {len(comparison.changes)} figures of {len(artifacts)} artifacts compared.", style="bold")
    ]
    parts += [Text(line, style="red") for line in comparison.failures]
    if comparison.machine is not None:
        parts.append(
            Text(
                f"Times are relative to {comparison.reference}, whose own compute time changed by "
                f"{100 * comparison.machine:+.1f} %."
            )
        )
    parts += [Text(f"only before: {name}") for name in comparison.only_before]
    parts += [Text(f"only after: {name}") for name in comparison.only_after]
    parts += [Text(f"caution: {line}", style="yellow") for line in comparison.cautions]
    if comparison.detectable:
        parts += [_detectable_table(comparison)]
    return Group(*parts, _changes_table(comparison))


def _detectable_table(comparison: Comparison) -> Table:
    table = Table("measured in rounds", "smallest change that counts", box=None)
    for figure, smallest in comparison.detectable.items():
        table.add_row(figure, f"{100 * smallest:.0f} %" if smallest < math.inf else "unknown")
    return table


def _changes_table(comparison: Comparison) -> Table:
    """Significant changes first, then by p value; levels whose error rate did not change are left out."""
    table = Table("artifact", "figure", "before", "after", "change", "p", "", box=None)
    for change in sorted(comparison.changes, key=lambda change: (change.verdict == "same", change.chance)):
        rate = change.kind == "errors"
        if rate and change.verdict == "same" and change.change == 0:
            continue
        table.add_row(
            change.artifact,
            change.figure,
            f"{100 * change.before:.2f} %" if rate else f"{change.before:.4g}",
            f"{100 * change.after:.2f} %" if rate else f"{change.after:.4g}",
            f"{100 * change.change:+.2f} points" if rate else f"{100 * change.change:+.1f} %",
            f"{change.chance:.2g}",
            "" if change.verdict == "same" else change.verdict,
            style={"better": "green", "worse": "red"}.get(change.verdict),
        )
    return table
