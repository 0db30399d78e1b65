"""Colours, sizes and axes that the plots share."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from ...results import Report, Row

# Distinguishable without colour vision (after Okabe and Ito), on light and on dark backgrounds.
COLOURS = ("#2b83c6", "#e08214", "#1b9e77", "#c2569b", "#8073ac", "#a6861d", "#d6604d", "#4d8f9e")
GREY = "rgba(128,128,128,1)"


def engine_colour(report: Report, engine: str) -> str:
    """A colour per engine, the same in all plots of a report."""
    engines = list(dict.fromkeys(row.engine for row in report.rows))
    return COLOURS[engines.index(engine) % len(COLOURS)]


def by_artifact(
    figure: go.Figure, rows: Sequence[Row], *, bars: int = 1, legend: bool = True, extra: int = 0
) -> go.Figure:
    """Horizontal layout with one line per artifact, from the top; ``bars`` per line, ``extra`` pixels of height."""
    figure.update_yaxes(
        autorange="reversed", automargin=True, categoryorder="array", categoryarray=[row.name for row in rows]
    )
    return sized(figure, 110 + 40 * legend + extra + len(rows) * (22 + 12 * (bars - 1)))


def sized(figure: go.Figure, height: int) -> go.Figure:
    """Height in pixels, margins and legend."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0, "traceorder": "normal"},
        template=None,
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
