"""The options of ``qbench``, in groups that its commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..errors import QasrError
from .common import together


class _List(click.ParamType[tuple[Any, ...]]):
    """Values with commas."""

    def __init__(self, kind: Callable[[str], Any], name: str) -> None:
        self.kind, self.name = kind, name

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part.strip()) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not {self.name} with commas between", param, context)


def _bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from ..bench.recommend import parse_bytes

    try:
        return None if value is None else parse_bytes(value)
    except (QasrError, ValueError) as error:
        raise click.BadParameter(str(error)) from None


def _points(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Percentage points, as a share."""
    try:
        return None if value is None else float(value.rstrip("% ")) / 100
    except ValueError:
        raise click.BadParameter(f"{value!r} is no number of percentage points") from None


DATA = together(
    [
        click.option(
            "--data",
            metavar="SET",
            help="Labelled recordings: JSON lines, a folder with a .txt for each, a Hugging Face dataset (folder or "
            "id).  [default: the bundled evaluation set]",
        ),
        click.option("--from-verses", metavar="VERSES", help="Label recordings by verse numbers, as 1:1-7,112:1-4."),
        click.option("--audio-dir", type=click.Path(path_type=Path), help="Where the recordings of the verses lie."),
        click.option("--limit", type=click.IntRange(1), help="Use so many recordings, evenly spread over the lengths."),
    ]
)
HOW = together(
    [
        click.option(
            "--scenario",
            "scenarios",
            type=_List(str, "names"),
            default="single-stream,offline",
            show_default=True,
            metavar="NAMES",
            help="single-stream, multi-stream, offline, server, as MLPerf means them.",
        ),
        click.option(
            "--durations",
            type=_List(float, "seconds"),
            metavar="SECONDS",
            help="Measure speed on clips of these lengths.  [default: the recordings as they are]",
        ),
        click.option(
            "--threads",
            type=_List(int, "numbers"),
            metavar="NUMBERS",
            help="Threads to compute with.  [default: all cores]",
        ),
        click.option(
            "--batch",
            "batches",
            type=_List(int, "numbers"),
            default="8",
            show_default=True,
            metavar="NUMBERS",
            help="Clips together in the engine, in every scenario but single-stream.",
        ),
        click.option(
            "--device",
            default="cpu",
            show_default=True,
            help="cpu; cuda (TensorRT, ONNX Runtime, transformers), rtx (ONNX Runtime), gpu or npu (OpenVINO).",
        ),
        click.option(
            "--features",
            default="cpu",
            show_default=True,
            help="Where audio becomes features: cpu, or cuda (needs torch).",
        ),
        click.option(
            "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Fresh processes for each."
        ),
        click.option("--min-seconds", type=click.FloatRange(0), default=1.0, show_default=True),
        click.option("--min-queries", type=click.IntRange(1), default=24, show_default=True),
        click.option(
            "--latency-bound",
            type=click.FloatRange(0, min_open=True),
            default=1.0,
            show_default=True,
            help="Seconds that 99 % of the queries may take in the scenario server.",
        ),
        click.option(
            "--rate",
            type=click.FloatRange(0, min_open=True),
            help="Arrivals a second in the scenario server.  [default: search for the highest that holds the bound]",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=120.0,
            show_default=True,
            help="Seconds without a sign of life after which an artifact counts as hanging.",
        ),
        click.option("--seed", type=int, default=0, show_default=True),
    ]
)
REPORT = click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Write report.html, .json and .csv here."
)
LIMITS = together(
    [
        click.option("--recommend", is_flag=True, help="Say which artifact is the fastest within the limits."),
        click.option("--max-rss", callback=_bytes, metavar="SIZE", help="Peak memory, as 1GB or 800MiB."),
        click.option("--max-size", callback=_bytes, metavar="SIZE", help="Size on disk."),
        click.option(
            "--max-per-delta",
            callback=_points,
            metavar="POINTS",
            help="Error rate of the first level over the baseline's.",
        ),
        click.option("--max-load", type=click.FloatRange(0, min_open=True), metavar="SECONDS"),
        click.option("--max-rtf", type=click.FloatRange(0, min_open=True)),
    ]
)
