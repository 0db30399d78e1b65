"""The plots of the page, as plotly figures without colours for text and background.

The page's stylesheet sets those, so that the reader's browser decides between light and dark.
"""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from ...results import Report, Row
from .accuracy import accuracy_against_speed, errors_by_length, level_map, pareto
from .speed import latency_boxes, load_bars, memory_bars, part_bars, rtf_by_clip, throughput_bars

__all__ = ["pareto", "plots"]


def plots(report: Report) -> dict[str, go.Figure]:
    """Figures by title. Plots without data are left out."""
    rows = [row for row in report.rows if row.failure is None]
    functions: dict[str, Callable[[Report, list[Row]], go.Figure | None]] = {
        "Accuracy against speed": accuracy_against_speed,
        "Load time": load_bars,
        "Peak memory": memory_bars,
        "Latency of single queries": latency_boxes,
        "Time by part": part_bars,
        "Error rate by level, difference from the baseline": level_map,
        "Error rate against length of the recording": errors_by_length,
        "RTF against length of the clip": rtf_by_clip,
        "Throughput": throughput_bars,
    }
    drawn = {title: plot(report, rows) for title, plot in functions.items()} if rows else {}
    return {title: figure for title, figure in drawn.items() if figure is not None}
