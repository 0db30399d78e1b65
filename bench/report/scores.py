"""Scores of files of predictions as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ..accuracy.predictions import Score
from ..accuracy.tajweed import SHOWN
from ..wording import figure_with_delta


def score_table(scores: Sequence[Score]) -> Table:
    """A column for each file, with the difference from the first; ~ marks one within noise."""
    shown = Table("", *(one.name for one in scores), box=None)
    first = scores[0]
    for name in first.speech:
        shown.add_row(f"{name}, %", *(figure_with_delta(one.speech[name], 100) for one in scores))
    for name, head in SHOWN.items():
        shown.add_row(head, *(figure_with_delta(one.tajweed[name]) for one in scores))
    return shown
