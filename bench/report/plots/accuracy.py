"""Plots of error rates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from ... import figures
from ...results import LevelErrors, Report, Row
from ...wording import megabytes, points
from .style import GREY, by_artifact, engine_colour, sized

# Bins of recording length with equal numbers of recordings.
_BINS = 5


def pareto(costs: Sequence[tuple[float, ...]]) -> list[int]:
    """Indices of the Pareto-optimal points: no other point is at most as large in all costs and smaller in one."""
    front = []
    for index, own in enumerate(costs):
        dominated = any(
            other != own and all(theirs <= mine for theirs, mine in zip(other, own, strict=True)) for other in costs
        )
        if not dominated:
            front.append(index)
    return front


def accuracy_against_speed(report: Report, rows: list[Row]) -> go.Figure | None:
    """Error rate of the first level against RTF; the area of a point is the size on disk."""
    shown = [
        (row, figures.rtf(speed.queries), row.accuracy)
        for row in rows
        if (speed := figures.main_speed(row)) and row.accuracy
    ]
    if not shown:
        return None
    costs = [(rtf, accuracy.first.rate, float(row.size_bytes)) for row, rtf, accuracy in shown]
    pareto_optimal = set(pareto(costs))
    front = sorted(pareto([cost[:2] for cost in costs]), key=lambda index: costs[index])
    largest = max(row.size_bytes for row, _, _ in shown)
    figure = go.Figure()
    for engine in dict.fromkeys(row.engine for row, _, _ in shown):
        indices = [index for index, (row, _, _) in enumerate(shown) if row.engine == engine]
        deltas = [shown[index][2].first_delta for index in indices]
        figure.add_scatter(
            x=[costs[index][0] for index in indices],
            y=[100 * costs[index][1] for index in indices],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * (delta.high - delta.value) if delta else 0 for delta in deltas],
                "arrayminus": [100 * (delta.value - delta.low) if delta else 0 for delta in deltas],
                "thickness": 1,
                "width": 3,
            },
            mode="markers+text",
            name=engine,
            text=[shown[index][0].name if index in front else "" for index in indices],
            textposition=["bottom right" if index == front[0] else "top center" for index in indices],
            marker={
                "color": engine_colour(report, engine),
                "size": [12 + 32 * (shown[index][0].size_bytes / largest) ** 0.5 for index in indices],
                "opacity": 0.75,
                "line": {"width": [3 if index in pareto_optimal else 0 for index in indices], "color": GREY},
            },
            customdata=[
                [shown[index][0].name, megabytes(costs[index][2]), points(delta)]
                for index, delta in zip(indices, deltas, strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>RTF %{x:.4f}<br>errors %{y:.2f} % (%{customdata[2]})<br>"
            "%{customdata[1]} MB<extra></extra>",
        )
    figure.add_scatter(
        x=[costs[index][0] for index in front],
        y=[100 * costs[index][1] for index in front],
        mode="lines",
        name="Pareto front",
        line={"dash": "dot", "width": 1, "color": GREY},
        hoverinfo="skip",
    )
    figure.update_xaxes(title="RTF, less is better", type="log")
    figure.update_yaxes(title="error rate, %")
    return sized(figure, 460)


def level_map(report: Report, rows: list[Row]) -> go.Figure | None:
    """Difference of error rates from the baseline, in percentage points by level."""
    base = report.row(report.baseline).accuracy
    shown = [row for row in rows if row.accuracy and row.name != report.baseline]
    if base is None or not shown:
        return None
    levels = list(base.levels)
    values = [[100 * (_level(row, level).rate - base.levels[level].rate) for level in levels] for row in shown]
    reach = max(0.1, float(np.abs(values).max()))
    figure = go.Figure(
        go.Heatmap(
            z=values, x=levels, y=[row.name for row in shown], zmid=0, zmin=-reach, zmax=reach, xgap=2, ygap=2,
            colorscale=[[0, "#2b83c6"], [0.5, "rgba(128,128,128,0.15)"], [1, "#d6604d"]],
            text=[[f"{value:+.2f}" for value in line] for line in values], texttemplate="%{text}",
            hovertemplate="%{y}<br>%{x}: %{z:+.3f} points<extra></extra>",
            colorbar={"title": "points", "thickness": 12},
        )
    )  # fmt: skip
    figure.update_xaxes(tickangle=-40, showgrid=False)
    figure.update_yaxes(showgrid=False)
    return by_artifact(figure, shown, legend=False, extra=70)


def errors_by_length(report: Report, rows: list[Row]) -> go.Figure | None:
    """Error rate of the first level against recording length, in bins with equal numbers of recordings."""
    shown = [row for row in rows if row.accuracy]
    seconds = np.array(report.data.seconds)
    if not shown or len(seconds) < 2 * _BINS:
        return None
    edges = np.quantile(seconds, np.linspace(0, 1, _BINS + 1))
    indices = [np.flatnonzero((seconds >= low) & (seconds <= high)) for low, high in pairwise(edges)]
    figure = go.Figure()
    for row in shown:
        assert row.accuracy is not None
        edits, lengths = np.array(row.accuracy.first.edits), np.array(row.accuracy.first.lengths)
        figure.add_scatter(
            x=[float(seconds[chosen].mean()) for chosen in indices],
            y=[100 * float(edits[chosen].sum() / max(lengths[chosen].sum(), 1)) for chosen in indices],
            mode="lines+markers", name=row.name, line_color=engine_colour(report, row.engine),
            line_width=4 if row.name == report.baseline else 1.5,
        )  # fmt: skip
    figure.update_xaxes(title="seconds of the recording")
    figure.update_yaxes(title="error rate, %", rangemode="tozero")
    return sized(figure, 400)


def _level(row: Row, level: str) -> LevelErrors:
    assert row.accuracy is not None
    return row.accuracy.levels[level]
