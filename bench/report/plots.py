"""The plots of the page, as plotly figures without colours of their own for text and background.

Those come from the page's stylesheet, so that light and dark are decided where the page is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

import numpy as np
import plotly.graph_objects as go

from .. import figures
from ..results import LevelErrors, Report, Row, Speed
from .wording import clip, megabytes, points

# Distinguishable without colour vision (after Okabe and Ito), light enough for dark, dark enough for light.
_COLOURS = ("#2b83c6", "#e08214", "#1b9e77", "#c2569b", "#8073ac", "#a6861d", "#d6604d", "#4d8f9e")
_PHASES = {
    "interpreter": "interpreter_seconds",
    "imports": "import_seconds",
    "reading": "read_seconds",
    "compiling": "compile_seconds",
    "first inference": "first_seconds",
}
_GREY = "rgba(128,128,128,1)"
# Bins of recording length, each with a share of the recordings.
_BINS = 5


def plots(report: Report) -> dict[str, go.Figure]:
    """Title to figure, those without data left out."""
    rows = [row for row in report.rows if row.failure is None]
    makers: dict[str, Callable[[Report, list[Row]], go.Figure | None]] = {
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
    found = {title: make(report, rows) for title, make in makers.items()} if rows else {}
    return {title: figure for title, figure in found.items() if figure is not None}


def pareto(costs: Sequence[tuple[float, ...]]) -> list[int]:
    """Places of the points that no other equals or beats in everything and beats in something; less is better."""
    front = []
    for place, own in enumerate(costs):
        beaten = any(
            other != own and all(theirs <= mine for theirs, mine in zip(other, own, strict=True)) for other in costs
        )
        if not beaten:
            front.append(place)
    return front


def accuracy_against_speed(report: Report, rows: list[Row]) -> go.Figure | None:
    """Error rate of the first level over RTF; the area of a point is the size on disk."""
    shown = [
        (row, figures.rtf(speed.queries), row.accuracy)
        for row in rows
        if (speed := figures.main_speed(row)) and row.accuracy
    ]
    if not shown:
        return None
    costs = [(rtf, accuracy.first.rate, float(row.size_bytes)) for row, rtf, accuracy in shown]
    unbeaten = set(pareto(costs))
    front = sorted(pareto([cost[:2] for cost in costs]), key=lambda place: costs[place])
    largest = max(row.size_bytes for row, _, _ in shown)
    figure = go.Figure()
    for engine in dict.fromkeys(row.engine for row, _, _ in shown):
        places = [place for place, (row, _, _) in enumerate(shown) if row.engine == engine]
        deltas = [shown[place][2].first_delta for place in places]
        figure.add_scatter(
            x=[costs[place][0] for place in places],
            y=[100 * costs[place][1] for place in places],
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
            text=[shown[place][0].name if place in front else "" for place in places],
            textposition=["bottom right" if place == front[0] else "top center" for place in places],
            marker={
                "color": _colour(report, engine),
                "size": [12 + 32 * (shown[place][0].size_bytes / largest) ** 0.5 for place in places],
                "opacity": 0.75,
                "line": {"width": [3 if place in unbeaten else 0 for place in places], "color": _GREY},
            },
            customdata=[
                [shown[place][0].name, megabytes(costs[place][2]), points(delta)]
                for place, delta in zip(places, deltas, strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>RTF %{x:.4f}<br>errors %{y:.2f} % (%{customdata[2]})<br>"
            "%{customdata[1]} MB<extra></extra>",
        )
    figure.add_scatter(
        x=[costs[place][0] for place in front],
        y=[100 * costs[place][1] for place in front],
        mode="lines",
        name="Pareto front",
        line={"dash": "dot", "width": 1, "color": _GREY},
        hoverinfo="skip",
    )
    figure.update_xaxes(title="RTF, less is better", type="log")
    figure.update_yaxes(title="error rate, %")
    return _sized(figure, 460)


def load_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Median seconds of each phase, warm, and the whole cold."""
    figure = go.Figure()
    names = [row.name for row in rows]
    for (phase, attribute), colour in zip(_PHASES.items(), _COLOURS, strict=False):
        values = [median([getattr(visit, attribute) for visit in row.visits if visit.round] or [0]) for row in rows]
        figure.add_bar(y=names, x=values, name=phase, orientation="h", marker_color=colour)
    cold = [figures.cold_load_seconds(row) for row in rows]
    if any(cold):
        figure.add_scatter(
            y=names, x=cold, mode="markers", name="cold, whole",
            marker={"symbol": "line-ns-open", "size": 14, "color": _GREY, "line": {"width": 3}},
        )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="seconds to the first transcript")
    return _by_artifact(figure, rows)


def memory_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Peak resident set, the scatter over visits, and GPU memory where there is any."""
    figure = go.Figure()
    names = [row.name for row in rows]
    figure.add_bar(
        y=names, x=[figures.peak_rss_bytes(row) / 1e6 for row in rows], name="peak RSS", orientation="h",
        marker_color=_COLOURS[0],
    )  # fmt: skip
    device = [figures.peak_device_bytes(row) for row in rows]
    if any(device):
        values = [None if peak is None else peak / 1e6 for peak in device]
        figure.add_bar(y=names, x=values, name="peak GPU memory", orientation="h", marker_color=_COLOURS[1])
    figure.add_bar(
        y=names, x=[row.size_bytes / 1e6 for row in rows], name="on disk", orientation="h", marker_color=_COLOURS[2]
    )
    figure.update_xaxes(title="MB")
    return _by_artifact(figure, rows, bars=2 + any(device))


def latency_boxes(report: Report, rows: list[Row]) -> go.Figure | None:
    """Milliseconds of every query of the main scenario, all rounds."""
    figure = go.Figure()
    for row in rows:
        speed = figures.main_speed(row)
        if speed is None:
            continue
        figure.add_box(
            x=[1e3 * query.latency_seconds for query in speed.queries], name=row.name, y0=row.name, orientation="h",
            boxpoints=False, marker_color=_colour(report, row.engine), showlegend=False,
        )  # fmt: skip
    if not figure.data:
        return None
    figure.update_xaxes(title=f"ms, {_scenario_of(rows)}", type="log")
    return _by_artifact(figure, rows)


def part_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Features, inference and decoding, in milliseconds a second of audio."""
    measured = [(row, figures.shares(speed.queries)) for row in rows if (speed := figures.main_speed(row))]
    figure = go.Figure()
    for part, colour in zip(("features", "inference", "decoding"), (1, 0, 2), strict=True):
        figure.add_bar(
            y=[row.name for row, _ in measured], x=[1e3 * shares[part] for _, shares in measured], name=part,
            orientation="h", marker_color=_COLOURS[colour],
        )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="ms a second of audio")
    return _by_artifact(figure, rows) if measured else None


def level_map(report: Report, rows: list[Row]) -> go.Figure | None:
    """Points of error rate more (or less) than the baseline, by level."""
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
    return _by_artifact(figure, shown, legend=False, extra=70)


def errors_by_length(report: Report, rows: list[Row]) -> go.Figure | None:
    """Error rate of the first level in bins of recording length with as many recordings each."""
    shown = [row for row in rows if row.accuracy]
    seconds = np.array(report.data.seconds)
    if not shown or len(seconds) < 2 * _BINS:
        return None
    edges = np.quantile(seconds, np.linspace(0, 1, _BINS + 1))
    places = [np.flatnonzero((seconds >= low) & (seconds <= high)) for low, high in pairwise(edges)]
    figure = go.Figure()
    for row in shown:
        assert row.accuracy is not None
        edits, lengths = np.array(row.accuracy.first.edits), np.array(row.accuracy.first.lengths)
        figure.add_scatter(
            x=[float(seconds[chosen].mean()) for chosen in places],
            y=[100 * float(edits[chosen].sum() / max(lengths[chosen].sum(), 1)) for chosen in places],
            mode="lines+markers", name=row.name, line_color=_colour(report, row.engine),
            line_width=4 if row.name == report.baseline else 1.5,
        )  # fmt: skip
    figure.update_xaxes(title="seconds of the recording")
    figure.update_yaxes(title="error rate, %", rangemode="tozero")
    return _sized(figure, 400)


def rtf_by_clip(report: Report, rows: list[Row]) -> go.Figure | None:
    """RTF at each clip length, a line for each artifact and thread count of the first scenario measured."""
    figure = go.Figure()
    for row in rows:
        first = figures.main_speed(row)
        joined = [speed for speed in row.speeds if speed.clip_seconds and first and speed.scenario == first.scenario]
        for threads in sorted({speed.threads for speed in joined}):
            line = sorted(
                (speed for speed in joined if speed.threads == threads), key=lambda speed: speed.clip_seconds or 0
            )
            figure.add_scatter(
                x=[speed.clip_seconds for speed in line], y=[figures.rtf(speed.queries) for speed in line],
                mode="lines+markers", name=f"{row.name}, {threads} threads", line_color=_colour(report, row.engine),
                line_dash="dot" if threads == min(report.settings.threads) < max(report.settings.threads) else "solid",
            )  # fmt: skip
    if not any(len(trace.x) > 1 for trace in figure.data):
        return None
    figure.update_xaxes(title="seconds of the clip")
    figure.update_yaxes(title="RTF", rangemode="tozero")
    return _sized(figure, 420)


def throughput_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Samples a second of the scenario offline, at the largest batch measured."""
    batches = [speed for row in rows for speed in row.speeds if speed.scenario == "offline"]
    if not batches:
        return None
    first = max(batches, key=lambda speed: (speed.batch, speed.threads))
    speeds = [(row, speed) for row in rows if (speed := figures.find(row, first)) is not None]
    figure = go.Figure()
    figure.add_bar(
        y=[row.name for row, _ in speeds], x=[figures.throughput(speed) for _, speed in speeds], orientation="h",
        marker_color=[_colour(report, row.engine) for row, _ in speeds], showlegend=False,
        customdata=[figures.throughput_rtfx(speed) for _, speed in speeds],
        hovertemplate="%{y}: %{x:.1f} samples/s, RTFx %{customdata:.0f}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title=f"samples a second, offline, batch {first.batch}")
    return _by_artifact(figure, [row for row, _ in speeds], legend=False)


def _level(row: Row, level: str) -> LevelErrors:
    assert row.accuracy is not None
    return row.accuracy.levels[level]


def _scenario_of(rows: Sequence[Row]) -> str:
    speeds: list[Speed] = [speed for row in rows if (speed := figures.main_speed(row))]
    return f"{speeds[0].scenario}, {clip(speeds[0])}" if speeds else ""


def _colour(report: Report, engine: str) -> str:
    engines = list(dict.fromkeys(row.engine for row in report.rows))
    return _COLOURS[engines.index(engine) % len(_COLOURS)]


def _by_artifact(
    figure: go.Figure, rows: Sequence[Row], *, bars: int = 1, legend: bool = True, extra: int = 0
) -> go.Figure:
    """A line for each artifact, from the top, with room for its name."""
    figure.update_yaxes(
        autorange="reversed", automargin=True, categoryorder="array", categoryarray=[row.name for row in rows]
    )
    return _sized(figure, 110 + 40 * legend + extra + len(rows) * (22 + 12 * (bars - 1)))


def _sized(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0, "traceorder": "normal"},
        template=None,
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
