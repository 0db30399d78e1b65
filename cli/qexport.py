"""``qexport``: a checkpoint in, a verified artifact out."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..errors import MissingExtraError
from ..exporters import TARGETS, UnknownTargetError, find
from ..exporters.asked import MAP
from ..exporters.asked import method as asked_method
from ..exporters.build import BuildOptions
from ..runtimes import unsupported_reason
from ..version import __version__
from .building import build, build_options
from .common import main, verbosity
from .frontier import check_plot, show_mixture
from .mixing import mixing, mixing_options
from .quantization import check, quantization_options
from .quantization import options as quantization_of

EPILOG = """\b
Examples:
  qexport --list
  qexport --to onnx-fp32 -o out/
  qexport obadx/muaalem-model-v3_0 --to onnx-int8 --calibration recitations.jsonl -o artifacts/muaalem-onnx-int8
  qexport ./checkpoint --to onnx-int8 --method dynamic -o out/
  qexport ./checkpoint --to onnx-int8 --calibration recitations.jsonl --explain
  qexport ./checkpoint --to onnx-mixed --calibration recitations.jsonl --budget-per 0.1 -o out/

\b
MODEL is a Hub id, a checkpoint folder, `reference` (the small model that comes with qasr, and the default)
or `random:full` (the full-size architecture with random weights, for measuring speed and memory).
Exit codes: 0 done, 1 failed and nothing left behind, 2 wrong usage.
"""


@click.command(
    "qexport", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.argument("model", default="reference")
@click.option("--to", "target", metavar="TARGET", help="What to make; see --list.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the artifact; must not exist yet.")
@click.option("--method", help="Quantization technique, where the target has several; see --list.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Audio that fixes the activation ranges: JSON lines with an 'audio' column, or a folder.",
)
@click.option("--calibration-clips", type=click.IntRange(1), default=64, show_default=True, help="How many to use.")
@quantization_options
@mixing_options
@build_options
@click.option(
    "--verification",
    type=click.Path(path_type=Path),
    help="Audio for the parity check: JSON lines or a folder.  [default: the bundled evaluation set]",
)
@click.option("--explain", is_flag=True, help="Print what quantizing each layer alone costs; export only with -o.")
@click.option("--revision", help="Branch, tag or commit on the Hub.")
@click.option("--offline", is_flag=True, help="Use only what the Hub cache holds.")
@click.option("--force", is_flag=True, help="Replace an artifact that stands at the output.")
@click.option("--list", "show_list", is_flag=True, help="List the targets and what this machine can do, and stop.")
@verbosity
@click.version_option(__version__, prog_name="qexport")
def command(
    model: str,
    target: str | None,
    output: Path | None,
    method: str | None,
    calibration: Path | None,
    calibration_clips: int,
    verification: Path | None,
    explain: bool,
    revision: str | None,
    offline: bool,
    force: bool,
    show_list: bool,
    plot: Path | None,
    console: Console,
    **quantization: Any,
) -> None:
    """Turn a Wav2Vec2-BERT CTC checkpoint into an artifact, and verify it."""
    if show_list:
        _print_targets()
        return
    if target is None:
        raise click.UsageError("say what to make: --to TARGET (qexport --list shows them)")
    if output is None and not explain:
        raise click.UsageError("say where to write it: -o DIR")
    asked = mixing(quantization)
    try:
        goal = find(target)
        technique = asked_method(goal, method, asked)
    except UnknownTargetError as error:
        raise click.UsageError(str(error)) from None
    if explain and technique is None:
        raise click.UsageError(f"{target} quantizes nothing, so there is nothing to explain")
    if explain and technique == MAP:
        raise click.UsageError("a precision map leaves nothing to choose, so there is nothing to explain")
    if plot is not None and not (explain and goal.formats):
        raise click.UsageError("--plot is for --explain of targets called …-mixed alone")
    check_plot(plot)
    building = build(goal, quantization)
    check(goal, technique, quantization)
    absent = goal.missing()
    if absent is not None:
        raise MissingExtraError(absent, goal.extra)
    hindrance = goal.cannot_compile(building)
    if hindrance is not None and output is not None:
        raise click.UsageError(f"{goal.name}: {hindrance}")
    if console.quiet:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # transformers imports torchao where it is installed, which tells what it was built without.
    for name in ("torchao", "torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Only now: torch takes seconds to import, and help or a wrong name should not wait for it.
    from ..exporters.options import ExportOptions
    from ..exporters.pipeline import export

    display = _Display(console)
    options = ExportOptions(
        method=method,
        calibration=calibration,
        calibration_clips=calibration_clips,
        verification=verification,
        quantization=dataclasses.replace(quantization_of(quantization), track=display.track),
        mixing=asked,
        build=building,
        revision=revision,
        offline=offline,
        force=force,
    )
    # The export first: it refuses before any work.
    if output is not None:
        artifact = export(model, target, output, options, display)
        if not console.quiet:
            _print_summary(console, artifact)
    if explain:
        from ..exporters import explain as explanations

        if goal.formats:
            show_mixture(explanations.explain_mixture(model, target, options, display), plot)
        else:
            _print_explanation(explanations.explain(model, target, options, display))


class _Display:
    """Progress on stderr: a spinner for steps, a bar for countable work."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.said: set[str] = set()

    def step(self, description: str) -> AbstractContextManager[Any]:
        """Show a spinner, or a line where stderr is no terminal."""
        if not self.console.is_terminal:
            self.console.print(f"{description} …")
        return self.console.status(description)

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """Show a bar over ``items``."""
        return track(items, description, total, console=self.console, disable=self.console.quiet)

    def warn(self, message: str) -> None:
        """A yellow line, once."""
        if message not in self.said:
            self.console.print(f"warning: {message}", style="yellow", markup=False)
            self.said.add(message)


def _print_targets() -> None:
    table = Table("target", "methods", "builds here", "runs here", "runs on", box=None)
    for target in TARGETS.values():
        missing = target.missing()
        builds = f"no: {missing} is not installed, pip install 'qasr[{target.extra}]'"
        if missing is None:
            hindrance = target.cannot_compile(BuildOptions())
            builds = "yes" if hindrance is None else f"no: {hindrance}"
        methods = ", ".join(f"{name} (default)" if not i else name for i, name in enumerate(target.methods)) or "none"
        reason = unsupported_reason(target.engine, target.execution)
        table.add_row(target.name, methods, builds, f"no: {reason}" if reason else "yes", target.runs_on)
    _print_result(table)


def _print_explanation(explanation: Any) -> None:
    report, strengths = explanation.report, explanation.strengths
    table = Table("layer", "scheme", box=None)
    if strengths:
        table.add_column("strength", justify="right")
    for title in ("error alone", "KL alone", "share"):
        table.add_column(title, justify="right")
    for layer in report.layers:
        strength = [f"{strengths[layer.layer]:.1f}" if layer.layer in strengths else "-"] if strengths else []
        figures = (f"{layer.alone.error:.2e}", f"{layer.alone.divergence:.1e}", f"{layer.share:.1%}")
        table.add_row(layer.layer, layer.scheme, *strength, *figures)
    whole = ("all together", f"{len(report.layers)} layers", *(["" for _ in range(bool(strengths))]))
    table.add_section()
    table.add_row(*whole, f"{report.together.error:.2e}", f"{report.together.divergence:.1e}", "")
    _print_result(table)
    _print_result(
        f"{explanation.method} on {explanation.clips} clips of {explanation.audio}: relative error of all logits, and "
        "KL divergence (nats a frame) of the first level, against fp32; share of the summed squared errors."
    )


def _print_result(result: Any) -> None:
    """On stdout; a pipe gets it unfolded."""
    console = Console(highlight=False, markup=False)
    console.print(result) if console.is_terminal else Console(width=240, highlight=False, markup=False).print(result)


def _print_summary(console: Console, artifact: Any) -> None:
    manifest = artifact.manifest
    size = sum(entry.bytes for entry in manifest.files.values())
    parity, fidelity = manifest.parity, manifest.fidelity
    first = next(iter(manifest.levels))
    console.print(f"{artifact.folder}: {manifest.target}, {size / 1e6:.1f} MB, sha256 {manifest.digest[:16]}")
    console.print(
        f"  against its torch model: relative error {parity.relative_error:.2g} (allowed {parity.tolerance:g}), "
        f"best tokens equal in {parity.argmax_agreement:.2%} of frames"
    )
    console.print(
        f"  against fp32: relative error {fidelity.relative_error:.2g}, best tokens equal in "
        f"{fidelity.argmax_agreement:.2%} of frames, {first} transcripts differ by {fidelity.disagreement[first]:.2%}"
    )


def run() -> None:
    """Entry point of ``qexport``."""
    main(command)
