"""The options of ``qbench``, in groups that its commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .common import device_options, size_in_bytes, together


class _List(click.ParamType[tuple[Any, ...]]):
    """Values separated by commas."""

    def __init__(self, kind: Callable[[str], Any], name: str) -> None:
        self.kind, self.name = kind, name

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part.strip()) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of {self.name} separated by commas", param, context)


def _points(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Percentage points as a fraction."""
    try:
        return None if value is None else float(value.rstrip("% ")) / 100
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number of percentage points") from None


DATA = together(
    [
        click.option(
            "--data",
            metavar="SET",
            help="Labelled recordings: JSON lines, a folder with a .txt for each, a Hugging Face dataset (folder or "
            "id).  [default: the bundled evaluation set]",
        ),
        click.option("--from-verses", metavar="VERSES", help="Label recordings by verse numbers, as 1:1-7,112:1-4."),
        click.option("--audio-dir", type=click.Path(path_type=Path), help="Folder with the recordings of the verses."),
        click.option(
            "--limit",
            type=click.IntRange(1),
            help="Number of recordings, evenly spread over the lengths.",
        ),
    ]
)
MEASUREMENT = together(
    [
        click.option(
            "--scenario",
            "scenarios",
            type=_List(str, "names"),
            default="single-stream,offline",
            show_default=True,
            metavar="NAMES",
            help="Scenarios of MLPerf: single-stream, multi-stream, offline, server.",
        ),
        click.option(
            "--durations",
            type=_List(float, "seconds"),
            metavar="SECONDS",
            help="Measure speed on clips of these lengths.  [default: unchanged recordings]",
        ),
        click.option(
            "--threads",
            type=_List(int, "numbers"),
            metavar="NUMBERS",
            help="Threads per inference.  [default: all cores]",
        ),
        click.option(
            "--batch",
            "batches",
            type=_List(int, "numbers"),
            default="8",
            show_default=True,
            metavar="NUMBERS",
            help="Clips per inference, in every scenario except single-stream.",
        ),
        *device_options,
        click.option(
            "--rounds",
            type=click.IntRange(1),
            default=5,
            show_default=True,
            help="Processes per artifact and thread count.",
        ),
        click.option(
            "--min-seconds",
            type=click.FloatRange(0),
            default=1.0,
            show_default=True,
            help="Minimum duration of each measurement.",
        ),
        click.option(
            "--min-queries",
            type=click.IntRange(1),
            default=24,
            show_default=True,
            help="Minimum number of queries of each measurement.",
        ),
        click.option(
            "--latency-bound",
            type=click.FloatRange(0, min_open=True),
            default=1.0,
            show_default=True,
            help="Latency in seconds that 99 % of the queries must meet in the scenario server.",
        ),
        click.option(
            "--rate",
            type=click.FloatRange(0, min_open=True),
            help="Arrivals per second in the scenario server.  [default: search for the highest within the bound]",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=120.0,
            show_default=True,
            help="Seconds without progress after which an artifact fails.",
        ),
        click.option(
            "--noise",
            type=click.FloatRange(-20, 60),
            metavar="DB",
            help="Also measure error rates with white noise this many dB below the speech.",
        ),
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Seed of clips, noise, arrivals and bootstrap."
        ),
    ]
)
REPORT = click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Write report.html, .json and .csv here."
)
LIMITS = together(
    [
        click.option("--recommend", is_flag=True, help="Recommend the fastest artifact within the limits."),
        click.option(
            "--max-rss", callback=size_in_bytes, metavar="SIZE", help="Limit of peak memory, as 1GB or 800MiB."
        ),
        click.option("--max-size", callback=size_in_bytes, metavar="SIZE", help="Limit of the size on disk."),
        click.option(
            "--max-per-delta",
            callback=_points,
            metavar="POINTS",
            help="Limit of the first level's error rate above the baseline's, in percentage points.",
        ),
        click.option(
            "--max-load",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="Limit of the time from start to first transcript.",
        ),
        click.option("--max-rtf", type=click.FloatRange(0, min_open=True), help="Limit of the real-time factor."),
    ]
)
