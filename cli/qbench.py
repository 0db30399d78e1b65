"""``qbench``: artifacts in, a table and a report out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import MissingExtraError
from ..version import __version__
from .common import FAILED, OK, main, verbosity
from .qbench_options import DATA, HOW, LIMITS, REPORT

if TYPE_CHECKING:
    from ..bench.results import Report
    from ..data import LabelledSet

EPILOG = """\b
Examples:
  qbench out/*
  qbench out/* --data eval.jsonl --report report/
  qbench out/* --baseline out/onnx-fp32 --scenario single-stream,offline,server
  qbench out/* --durations 5,10,15,30 --threads 1,2 --batch 1,4,8
  qbench out/* --recommend --max-rss 1GB --max-per-delta 0.1
  qbench out/* --from-verses 1:1-7,112:1-4 --audio-dir recordings/
  qbench compare before/report.json after/report.json
  qbench show report/report.json --recommend --max-size 100MB
  qbench techniques reference -o techniques/

\b
`qbench ARTIFACT...` measures; `qbench COMMAND --help` describes the other commands. An artifact in a folder that is
called like a command: `qbench measure compare/`.
Exit codes: 0 all done, 1 an artifact failed (the others are measured), 2 wrong usage.
"""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class _Group(click.Group):
    """What is no command is an argument of ``measure``."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["measure", *args]
        return super().resolve_command(context, args)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        # Options may come first: `qbench --from-verses 1:1 --audio-dir recordings/ out/`.
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help", "--version"):
            args = ["measure", *args]
        return super().parse_args(context, args)


@click.group("qbench", cls=_Group, epilog=EPILOG, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="qbench")
def command() -> None:
    """Measure artifacts as they would be used: load time, RTF, memory, error rates, throughput."""


@command.command("measure", context_settings=_CONTEXT, epilog=EPILOG)
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--baseline", type=click.Path(path_type=Path), help="Compare with it.  [default: the first in fp32]")
@DATA
@HOW
@LIMITS
@REPORT
@verbosity
def measure(
    artifacts: tuple[Path, ...], baseline: Path | None, report: Path | None, console: Console, **given: Any
) -> int:
    """Measure ARTIFACTS, each in fresh processes, and print a table."""
    result = _run(artifacts, baseline, given, console)
    _present(result, report, given, console)
    return FAILED if any(row.failure for row in result.rows) else OK


@command.command("show", context_settings=_CONTEXT)
@click.argument("stored", type=click.Path(path_type=Path, dir_okay=False), metavar="REPORT.JSON")
@LIMITS
@REPORT
@verbosity
def show(stored: Path, report: Path | None, console: Console, **given: Any) -> None:
    """Print a stored report again, or write it as a page."""
    _need_library()
    from ..bench.results import read_report

    _present(read_report(stored), report, given, console)


@command.command("compare", context_settings=_CONTEXT)
@click.argument("before", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("after", type=click.Path(path_type=Path, dir_okay=False))
@verbosity
def compare(before: Path, after: Path, console: Console) -> None:
    """Say what got better or worse from report BEFORE to report AFTER, and whether it is more than noise."""
    _need_library()
    from ..bench.compare.reports import compare as differences
    from ..bench.compare.reports import render
    from ..bench.results import read_report

    _output().print(render(differences(read_report(before), read_report(after))))


@command.command("techniques", context_settings=_CONTEXT)
@click.argument("model", default="reference")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of artifacts: those there are taken, those missing are exported to it.",
)
@click.option("--no-export", is_flag=True, help="Take only what is there.")
@click.option("--calibration", type=click.Path(path_type=Path), help="As for qexport.")
@DATA
@HOW
@REPORT
@verbosity
def techniques(
    model: str,
    output: Path,
    no_export: bool,
    calibration: Path | None,
    report: Path | None,
    console: Console,
    **given: Any,
) -> int:
    """Run one artifact of MODEL for each quantization technique, and print the list with what was measured."""
    _need_library()
    from ..bench.techniques import technique_table
    from .technique_artifacts import collect

    artifacts, failures = collect(model, output, calibration, given["device"], build=not no_export, console=console)
    result = _run(tuple(artifacts), artifacts[0], given, console)
    _present(result, report, given, console)
    _output().print(technique_table(result))
    for line in failures:
        click.echo(f"qbench: {line}", err=True)
    return FAILED if failures or any(row.failure for row in result.rows) else OK


def _run(artifacts: tuple[Path, ...], baseline: Path | None, given: dict[str, Any], console: Console) -> Report:
    _need_library()
    from ..bench.measure.options import Options
    from ..bench.measure.run import Benchmark
    from ..runtimes import available_cores

    options = Options(
        scenarios=given["scenarios"],
        durations=given["durations"] or (None,),
        threads=given["threads"] or (available_cores(),),
        batches=given["batches"],
        rounds=given["rounds"],
        min_seconds=given["min_seconds"],
        min_queries=given["min_queries"],
        timeout_seconds=given["timeout"],
        device=given["device"],
        features=given["features"],
        latency_bound_seconds=given["latency_bound"],
        rate_hz=given["rate"],
        seed=given["seed"],
    )
    with TemporaryDirectory(prefix="qbench-data-") as scratch, _bar(console) as bar:
        task = bar.add_task("reading the data", total=None)

        def progress(now: str, visits: int) -> None:
            # Called before a visit: what came before it is done.
            first = bar.tasks[0].total is None
            bar.update(task, description=now, total=visits, advance=0 if first else 1)
            if not console.is_terminal:
                console.print(f"{bar.tasks[0].completed + 1:.0f} of {visits}: {now}")

        benchmark = Benchmark(artifacts, _data(given, Path(scratch)), options, baseline=baseline, progress=progress)
        return benchmark.run(["qbench", *sys.argv[1:]])


def _data(given: dict[str, Any], scratch: Path) -> LabelledSet:
    from ..data import load_data
    from ..data.verses import from_verses

    verses, folder = given["from_verses"], given["audio_dir"]
    if (verses is None) != (folder is None):
        raise click.UsageError("--from-verses and --audio-dir go together")
    if verses is not None and given["data"] is not None:
        raise click.UsageError("the labels come from --data or from --from-verses, not from both")
    data = load_data(given["data"], scratch) if verses is None else from_verses(verses, folder)
    return data if given["limit"] is None else data.limited(given["limit"])


def _present(report: Report, folder: Path | None, given: dict[str, Any], console: Console) -> None:
    from ..bench.recommend import Limits, recommend
    from ..bench.recommend import render as render_recommendation
    from ..bench.report import print_report, write_report

    output = _output()
    print_report(report, output)
    limits = Limits(
        max_rss_bytes=given.get("max_rss"),
        max_size_bytes=given.get("max_size"),
        max_delta=given.get("max_per_delta"),
        max_load_seconds=given.get("max_load"),
        max_rtf=given.get("max_rtf"),
    )
    if given.get("recommend") or limits != Limits():
        output.print(render_recommendation(recommend(report, limits)))
    if folder is not None:
        for path in write_report(report, folder):
            console.print(f"wrote {path}")


def _output() -> Console:
    """Stdout, wide enough for the tables where it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=console.quiet or not console.is_terminal)


def _need_library() -> None:
    """Raise MissingExtraError where the extra ``bench`` is not installed."""
    from importlib.util import find_spec

    for library in ("jiwer", "psutil", "plotly", "scipy"):
        if find_spec(library) is None:
            raise MissingExtraError(library, "bench")


def run() -> None:
    """Entry point of ``qbench``."""
    main(command)
