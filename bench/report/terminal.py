"""A report as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import figures
from ..accuracy.tajweed import SHOWN
from ..results import Report, Row, Speed
from ..wording import (
    AGREEMENT,
    agreement_cells,
    clip,
    figure_with_delta,
    megabytes,
    milliseconds,
    noise_cells,
    noise_heads,
    percent,
    points,
    times_baseline,
)

# Below this fraction of idle time, other programs distort the times.
BUSY = 0.9


def print_report(report: Report, console: Console) -> None:
    """Print the main table, the scenarios if there are several, failures and notes."""
    console.print(main_table(report))
    agreement = agreement_table(report)
    if agreement.row_count:
        console.print()
        console.print(agreement)
    tajweed = tajweed_table(report)
    if tajweed.row_count:
        console.print()
        console.print(tajweed)
    keys = {figures.key(speed) for row in report.rows for speed in row.speeds}
    if len(keys) > 1:
        console.print()
        console.print(scenario_table(report))
    for row in report.rows:
        if row.failure is not None:
            console.print(Text(f"{row.name} failed: {row.failure}", style="red"))
    for line in notes(report):
        console.print(Text(line, style="dim"), soft_wrap=True)


def main_table(report: Report) -> Table:
    """Size, load time, memory, errors and speed. A failed row has no figures."""
    first = _first_level(report)
    table = Table(box=None, pad_edge=False)
    table.add_column("artifact", overflow="fold", min_width=12)
    names = ("MB", "load s", "cold s", "peak MB", f"{first} %", "delta", "levels %", "delta")
    for name in (*names, "RTF", "time", "p50 ms", "p90 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for row in report.rows:
        if row.failure is not None:
            table.add_row(row.name, "failed", style="red")
        else:
            table.add_row(row.name, *_costs(row), *_errors(row), *_times(row, report))
    return table


def agreement_table(report: Report) -> Table:
    """How far each artifact agrees with the baseline, without noise and with it."""
    noise = report.settings.noise_db
    table = Table(box=None, pad_edge=False)
    table.add_column("artifact", overflow="fold", min_width=12)
    for name in (*AGREEMENT, *([] if noise is None else noise_heads(noise))):
        table.add_column(name, justify="right")
    for row in report.rows:
        cells = [*agreement_cells(row.accuracy), *([] if noise is None else noise_cells(row.noisy))]
        if any(cells):
            table.add_row(row.name, *cells)
    return table


def tajweed_table(report: Report) -> Table:
    """Figures of qdat_bench, each with its difference from the baseline's; no rows for other data."""
    table = Table(box=None, pad_edge=False)
    table.add_column("artifact", overflow="fold", min_width=12)
    for head in SHOWN.values():
        table.add_column(head, justify="right")
    for row in report.rows:
        if row.tajweed:
            table.add_row(row.name, *(figure_with_delta(row.tajweed[name]) for name in SHOWN))
    return table


def scenario_table(report: Report) -> Table:
    """One line per scenario, clip length, thread count, batch size and artifact."""
    table = Table(box=None, pad_edge=False)
    for name in ("scenario", "clips", "artifact"):
        table.add_column(name, overflow="fold")
    for name in ("threads", "batch", "RTF", "time", "p50 ms", "p99 ms", "samples/s", "RTFx", "queries/s"):
        table.add_column(name, justify="right")
    speeds = [(speed, row) for row in report.rows for speed in row.speeds]
    order = {figures.key(speed): index for index, (speed, _) in reversed(list(enumerate(speeds)))}
    for speed, row in sorted(speeds, key=lambda pair: order[figures.key(pair[0])]):
        table.add_row(speed.scenario, clip(speed), row.name, *_scenario(speed, report))
    return table


def notes(report: Report) -> list[str]:
    """Data and machine, how to read the tables, and a warning about a busy machine."""
    data, environment = report.data, report.environment
    lines = [
        f"{data.name}: {len(data.recordings)} recordings, {sum(data.seconds) / 60:.1f} minutes. "
        f"Baseline {report.baseline}. {environment.processor}, {environment.cores} cores; "
        f"rounds: {report.settings.rounds}, {report.wall_seconds / 60:.1f} minutes.",
        "~: the difference is within noise. time: compute time over the baseline's. "
        f"differ %: {_first_level(report)} other than the baseline's. same %: transcripts equal to the baseline's.",
    ]
    if environment.idle_share < BUSY:
        share = percent(1 - environment.idle_share, 0)
        lines.append(f"The machine was busy: other programs used {share} % of its time. Trust ratios, not times.")
    return lines


def _first_level(report: Report) -> str:
    accuracies = [row.accuracy for row in report.rows if row.accuracy is not None]
    return next(iter(accuracies[0].levels)) if accuracies else "errors"


def _costs(row: Row) -> list[str]:
    cold = figures.cold_load_seconds(row)
    return [
        megabytes(row.size_bytes),
        f"{figures.warm_load_seconds(row):.2f}",
        "" if cold is None else f"{cold:.2f}",
        megabytes(figures.peak_rss_bytes(row)),
    ]


def _errors(row: Row) -> list[str]:
    accuracy = row.accuracy
    if accuracy is None:
        return ["", "", "", ""]
    return [
        percent(accuracy.first.rate),
        points(accuracy.first_delta),
        percent(accuracy.mean, 3),
        points(accuracy.mean_delta),
    ]


def _times(row: Row, report: Report) -> list[str]:
    speed = figures.main_speed(row)
    if speed is None or not speed.queries:
        return ["", "", "", "", ""]
    return [
        f"{figures.rtf(speed.queries):.4f}",
        times_baseline(speed, report),
        *(milliseconds(figures.latency(speed, percentile)) for percentile in (50, 90, 99)),
    ]


def _scenario(speed: Speed, report: Report) -> list[str]:
    rate = figures.sustained_rate(speed)
    server = speed.scenario == "server"
    return [
        str(speed.threads),
        str(speed.batch),
        f"{figures.rtf(speed.queries):.4f}",
        times_baseline(speed, report),
        milliseconds(figures.latency(speed, 50)),
        milliseconds(figures.latency(speed, 99)),
        "" if server else f"{figures.throughput(speed):.1f}",
        "" if server else f"{figures.throughput_rtfx(speed):.0f}",
        "" if rate is None else f"{rate:.1f}",
    ]
