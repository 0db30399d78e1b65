"""The steps that the commands of ``qbench`` share: measure artifacts, load labelled data, print and write a report."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from ..bench.results import Report
    from ..data import LabelledSet

_LIBRARIES = ("jiwer", "plotly", "psutil", "rapidfuzz", "scipy")


def measure_artifacts(
    artifacts: tuple[Path, ...], baseline: Path | None, options: dict[str, Any], console: Console
) -> Report:
    """Run a benchmark with the command's options, with progress on ``console``. Raises QasrError."""
    require_libraries()
    from ..bench.measure.options import Options
    from ..bench.measure.run import Benchmark
    from ..runtimes import available_cores

    measurement = Options(
        scenarios=options["scenarios"],
        durations=options["durations"] or (None,),
        threads=options["threads"] or (available_cores(),),
        batches=options["batches"],
        rounds=options["rounds"],
        min_seconds=options["min_seconds"],
        min_queries=options["min_queries"],
        timeout_seconds=options["timeout"],
        device=options["device"],
        features=options["features"],
        latency_bound_seconds=options["latency_bound"],
        rate_hz=options["rate"],
        noise_db=options["noise"],
        seed=options["seed"],
    )
    with TemporaryDirectory(prefix="qbench-data-") as scratch, _bar(console) as bar:
        task = bar.add_task("reading the data", total=None)

        def progress(description: str, processes: int) -> None:
            # Called before a process, so the previous one has ended.
            first = bar.tasks[0].total is None
            bar.update(task, description=description, total=processes, advance=0 if first else 1)
            if not console.is_terminal:
                console.print(f"{bar.tasks[0].completed + 1:.0f} of {processes}: {description}")

        data = _load_data(options, Path(scratch))
        benchmark = Benchmark(
            artifacts, data, measurement, baseline=baseline, progress=progress, predictions=options.get("predictions")
        )
        return benchmark.run(["qbench", *sys.argv[1:]])


def present(report: Report, folder: Path | None, options: dict[str, Any], console: Console) -> None:
    """Print the report and, if requested, a recommendation; write the report's files to ``folder``."""
    from ..bench.recommend import Limits, recommend
    from ..bench.recommend import render as render_recommendation
    from ..bench.report import print_report, write_report

    output = result_console()
    print_report(report, output)
    limits = Limits(
        max_rss_bytes=options.get("max_rss"),
        max_size_bytes=options.get("max_size"),
        max_delta=options.get("max_per_delta"),
        max_load_seconds=options.get("max_load"),
        max_rtf=options.get("max_rtf"),
    )
    if options.get("recommend") or limits != Limits():
        output.print(render_recommendation(recommend(report, limits)))
    if folder is not None:
        for path in write_report(report, folder):
            console.print(f"wrote {path}")


def result_console() -> Console:
    """A console on stdout, wide enough for the tables if stdout is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200)


def require_libraries() -> None:
    """Raise MissingExtraError if the extra ``bench`` is not installed."""
    for library in _LIBRARIES:
        if find_spec(library) is None:
            raise MissingExtraError(library, "bench")


def _load_data(options: dict[str, Any], scratch: Path) -> LabelledSet:
    from ..data import load_data
    from ..data.verses import from_verses

    verses, folder = options["from_verses"], options["audio_dir"]
    if (verses is None) != (folder is None):
        raise click.UsageError("--from-verses and --audio-dir go together")
    if verses is not None and options["data"] is not None:
        raise click.UsageError("labels come from --data or from --from-verses, not from both")
    data = load_data(options["data"], scratch) if verses is None else from_verses(verses, folder)
    return data if options["limit"] is None else data.limited(options["limit"])


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=console.quiet or not console.is_terminal)
