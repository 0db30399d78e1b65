"""``qexport``: a checkpoint in, a verified artifact out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..exporters import RequestError, resolve
from ..exporters.plan import check_buildable, check_explainable
from ..quiet import silence
from ..version import __version__
from .common import main, verbosity
from .export_output import Display, print_explanation, print_summary, print_targets
from .frontier import check_plot, show_mixture
from .qexport_options import request, request_options

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
@click.option("--method", help="Quantization method, where the target has several; see --list.")
@request_options
@click.option("--explain", is_flag=True, help="Print what quantizing each layer alone costs; export only with -o.")
@click.option("--revision", help="Branch, tag or commit on the Hub.")
@click.option("--offline", is_flag=True, help="Use only the Hub's local cache.")
@click.option("--force", is_flag=True, help="Replace an artifact at the output.")
@click.option("--list", "show_list", is_flag=True, help="List the targets and what this machine can do, and stop.")
@verbosity
@click.version_option(__version__, prog_name="qexport")
def command(
    model: str,
    target: str | None,
    output: Path | None,
    method: str | None,
    explain: bool,
    force: bool,
    show_list: bool,
    plot: Path | None,
    console: Console,
    **given: Any,
) -> None:
    """Turn a CTC checkpoint into an artifact, and verify it."""
    if show_list:
        print_targets()
        return
    if target is None:
        raise click.UsageError("say what to make: --to TARGET (qexport --list shows them)")
    if output is None and not explain:
        raise click.UsageError("say where to write it: -o DIR")
    try:
        requested = request(given, model=model, target=target, method=method)
        plan = resolve(requested)
        if output is not None:
            check_buildable(plan)
        if explain:
            check_explainable(plan)
    except RequestError as error:
        raise click.UsageError(str(error)) from None
    if plot is not None and not (explain and plan.mixed is not None):
        raise click.UsageError("--plot applies only to --explain of targets called …-mixed")
    check_plot(plot)
    if console.quiet:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # transformers imports torchao where it is installed, which reports what it was built without.
    silence("torchao", "torch.utils._pytree", "bitsandbytes")
    display = Display(console)
    # The export first: it refuses before any work.
    if output is not None:
        # Only now: torch takes seconds to import, and help or a wrong name should not wait for it.
        from ..exporters.pipeline import export

        artifact = export(requested, output, force=force, progress=display)
        if not console.quiet:
            print_summary(console, artifact)
    if explain:
        from ..exporters import explain as explanations

        explanation = explanations.explain(requested, display)
        if isinstance(explanation, explanations.Explanation):
            print_explanation(explanation)
        else:
            show_mixture(explanation, plot)


def run() -> None:
    """Entry point of ``qexport``."""
    main(command)
