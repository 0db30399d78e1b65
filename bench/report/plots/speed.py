"""Plots of time, memory and throughput."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import plotly.graph_objects as go

from ... import figures
from ...results import Report, Row, Speed
from ...wording import clip
from .style import COLOURS, GREY, by_artifact, engine_colour, sized

_PHASES = {
    "interpreter": "interpreter_seconds",
    "imports": "import_seconds",
    "reading": "read_seconds",
    "compiling": "compile_seconds",
    "first inference": "first_inference_seconds",
}


def load_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Median seconds of each phase of a warm load, and the total of a cold load."""
    figure = go.Figure()
    names = [row.name for row in rows]
    for (phase, attribute), colour in zip(_PHASES.items(), COLOURS, strict=False):
        values = [
            median([getattr(process, attribute) for process in row.processes if process.round] or [0]) for row in rows
        ]
        figure.add_bar(y=names, x=values, name=phase, orientation="h", marker_color=colour)
    cold = [figures.cold_load_seconds(row) for row in rows]
    if any(cold):
        figure.add_scatter(
            y=names, x=cold, mode="markers", name="cold, total",
            marker={"symbol": "line-ns-open", "size": 14, "color": GREY, "line": {"width": 3}},
        )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="seconds to the first transcript")
    return by_artifact(figure, rows)


def memory_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Peak resident set, peak GPU memory if a GPU was used, and size on disk."""
    figure = go.Figure()
    names = [row.name for row in rows]
    figure.add_bar(
        y=names, x=[figures.peak_rss_bytes(row) / 1e6 for row in rows], name="peak RSS", orientation="h",
        marker_color=COLOURS[0],
    )  # fmt: skip
    device = [figures.peak_device_bytes(row) for row in rows]
    if any(device):
        values = [None if peak is None else peak / 1e6 for peak in device]
        figure.add_bar(y=names, x=values, name="peak GPU memory", orientation="h", marker_color=COLOURS[1])
    figure.add_bar(
        y=names, x=[row.size_bytes / 1e6 for row in rows], name="on disk", orientation="h", marker_color=COLOURS[2]
    )
    figure.update_xaxes(title="MB")
    return by_artifact(figure, rows, bars=2 + any(device))


def latency_boxes(report: Report, rows: list[Row]) -> go.Figure | None:
    """Latency of all queries of the main scenario, in milliseconds."""
    figure = go.Figure()
    for row in rows:
        speed = figures.main_speed(row)
        if speed is None:
            continue
        figure.add_box(
            x=[1e3 * query.latency_seconds for query in speed.queries], name=row.name, y0=row.name, orientation="h",
            boxpoints=False, marker_color=engine_colour(report, row.engine), showlegend=False,
        )  # fmt: skip
    if not figure.data:
        return None
    figure.update_xaxes(title=f"ms, {_scenario_of(rows)}", type="log")
    return by_artifact(figure, rows)


def part_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Features, inference and decoding, in milliseconds per second of audio."""
    measured = [(row, figures.shares(speed.queries)) for row in rows if (speed := figures.main_speed(row))]
    figure = go.Figure()
    for part, colour in zip(("features", "inference", "decoding"), (1, 0, 2), strict=True):
        figure.add_bar(
            y=[row.name for row, _ in measured], x=[1e3 * shares[part] for _, shares in measured], name=part,
            orientation="h", marker_color=COLOURS[colour],
        )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="ms per second of audio")
    return by_artifact(figure, rows) if measured else None


def rtf_by_clip(report: Report, rows: list[Row]) -> go.Figure | None:
    """RTF against clip length, one line per artifact and thread count, for the main scenario."""
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
                mode="lines+markers", name=f"{row.name}, {threads} threads",
                line_color=engine_colour(report, row.engine),
                line_dash="dot" if threads == min(report.settings.threads) < max(report.settings.threads) else "solid",
            )  # fmt: skip
    if not any(len(trace.x) > 1 for trace in figure.data):
        return None
    figure.update_xaxes(title="seconds of the clip")
    figure.update_yaxes(title="RTF", rangemode="tozero")
    return sized(figure, 420)


def throughput_bars(report: Report, rows: list[Row]) -> go.Figure | None:
    """Samples per second in the scenario offline, at the largest measured batch size."""
    batches = [speed for row in rows for speed in row.speeds if speed.scenario == "offline"]
    if not batches:
        return None
    first = max(batches, key=lambda speed: (speed.batch, speed.threads))
    speeds = [(row, speed) for row in rows if (speed := figures.find(row, first)) is not None]
    figure = go.Figure()
    figure.add_bar(
        y=[row.name for row, _ in speeds], x=[figures.throughput(speed) for _, speed in speeds], orientation="h",
        marker_color=[engine_colour(report, row.engine) for row, _ in speeds], showlegend=False,
        customdata=[figures.throughput_rtfx(speed) for _, speed in speeds],
        hovertemplate="%{y}: %{x:.1f} samples/s, RTFx %{customdata:.0f}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title=f"samples per second, offline, batch {first.batch}")
    return by_artifact(figure, [row for row, _ in speeds], legend=False)


def _scenario_of(rows: Sequence[Row]) -> str:
    speeds: list[Speed] = [speed for row in rows if (speed := figures.main_speed(row))]
    return f"{speeds[0].scenario}, {clip(speeds[0])}" if speeds else ""
