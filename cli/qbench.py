"""``qbench``: measures artifacts, shows and compares reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..version import __version__
from .common import FAILED, OK, main, verbosity
from .qbench_options import DATA, LIMITS, MEASUREMENT, REPORT
from .qbench_steps import measure_artifacts, present, require_libraries, result_console

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
  qbench score predictions.jsonl --data qdat_bench/

\b
`qbench ARTIFACT...` is short for `qbench measure ARTIFACT...`; `qbench COMMAND --help` describes each command. If a
folder of an artifact has the name of a command, write `qbench measure compare/`.
An artifact may contain code (TorchScript, programs of torch.export), and qbench runs it: name only artifacts that you
trust.
Exit codes: 0 success, 1 an artifact failed (the others are measured), 2 wrong usage.
"""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class _Group(click.Group):
    """A group whose default command is ``measure``."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["measure", *args]
        return super().resolve_command(context, args)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        # Options may precede the artifacts: `qbench --from-verses 1:1 --audio-dir recordings/ out/`.
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help", "--version"):
            args = ["measure", *args]
        return super().parse_args(context, args)


@click.group("qbench", cls=_Group, epilog=EPILOG, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="qbench")
def command() -> None:
    """Measure load time, RTF, memory, error rates and throughput of artifacts."""


@command.command("measure", context_settings=_CONTEXT, epilog=EPILOG)
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Artifact to compare the others with.  [default: the first one in fp32]",
)
@DATA
@MEASUREMENT
@click.option(
    "--predictions",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each artifact's transcripts here, as qdat_bench publishes them.",
)
@LIMITS
@REPORT
@verbosity
def measure(
    artifacts: tuple[Path, ...], baseline: Path | None, report: Path | None, console: Console, **options: Any
) -> int:
    """Measure ARTIFACTS, each in fresh processes, and print a table."""
    result = measure_artifacts(artifacts, baseline, options, console)
    present(result, report, options, console)
    return FAILED if any(row.failure for row in result.rows) else OK


@command.command("show", context_settings=_CONTEXT)
@click.argument("stored", type=click.Path(path_type=Path, dir_okay=False), metavar="REPORT.JSON")
@LIMITS
@REPORT
@verbosity
def show(stored: Path, report: Path | None, console: Console, **options: Any) -> None:
    """Print a stored report again, or write it as an HTML page."""
    require_libraries()
    from ..bench.results import read_report

    present(read_report(stored), report, options, console)


@command.command("compare", context_settings=_CONTEXT)
@click.argument("before", type=click.Path(path_type=Path, dir_okay=False), metavar="BEFORE.JSON")
@click.argument("after", type=click.Path(path_type=Path, dir_okay=False), metavar="AFTER.JSON")
@verbosity
def compare(before: Path, after: Path, console: Console) -> None:
    """Print what got better or worse between two reports by more than noise."""
    require_libraries()
    from ..bench.compare.comparison import compare as compare_reports
    from ..bench.compare.render import render
    from ..bench.results import read_report

    result_console().print(render(compare_reports(read_report(before), read_report(after))))


@command.command("score", context_settings=_CONTEXT)
@click.argument("predictions", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder with qdat_bench_annotations.json; it needs no audio.",
)
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap.")
@verbosity
def score(predictions: tuple[Path, ...], data: Path, output: Path | None, seed: int, console: Console) -> None:
    """Score files of PREDICTIONS on qdat_bench: error rates, and tajweed; the others against the first."""
    require_libraries()
    from ..bench.accuracy.predictions import score as score_files
    from ..bench.accuracy.predictions import write
    from ..bench.report.scores import score_table
    from ..data.qdat_bench import read_annotations, read_predictions

    annotations = read_annotations(data)
    files = [(path.stem, read_predictions(path, annotations)) for path in predictions]
    scores = score_files(annotations, files, seed=seed)
    printer = result_console()
    printer.print(score_table(scores))
    printer.print(f"{len(annotations)} clips, scored from predictions only. ~: the difference is within noise.")
    if output is not None:
        write(scores, output)
        console.print(f"wrote {output}")


@command.command("techniques", context_settings=_CONTEXT)
@click.argument("model", default="reference")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of artifacts. Existing ones are measured, missing ones are exported into it.",
)
@click.option("--no-export", is_flag=True, help="Measure existing artifacts only.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Calibration audio, as for qexport.")
@DATA
@MEASUREMENT
@REPORT
@verbosity
def techniques(
    model: str,
    output: Path,
    no_export: bool,
    calibration: Path | None,
    report: Path | None,
    console: Console,
    **options: Any,
) -> int:
    """Measure one artifact of MODEL for each quantization technique, and print the list of techniques with figures."""
    require_libraries()
    from ..bench.techniques import technique_table
    from .technique_artifacts import collect

    artifacts, failures = collect(model, output, calibration, options["device"], build=not no_export, console=console)
    result = measure_artifacts(tuple(artifacts), artifacts[0], options, console)
    present(result, report, options, console)
    printer = result_console()
    printer.print(technique_table(result))
    printer.print("Figures: measured against the baseline. Low, Medium, High: expected from the literature.")
    for line in failures:
        click.echo(f"qbench: {line}", err=True)
    return FAILED if failures or any(row.failure for row in result.rows) else OK


def run() -> None:
    """Entry point of ``qbench``."""
    main(command)
