"""``qtrain``: a checkpoint in, the same checkpoint with trained quantization out."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..errors import MissingExtraError
from ..version import __version__, installed
from .common import group_size_option, main, refuse_idle, together, verbosity

if TYPE_CHECKING:
    from ..training.evaluation import Evaluation

EPILOG = """\b
Examples:
  qtrain reference --scheme int8 --data train.jsonl -o tuned/
  qtrain reference --scheme int8 --partial --data train.jsonl --epochs 2 -o tuned/
  qtrain obadx/muaalem-model-v3_0 --scheme int4 --distill --data audio_only/ --device cuda -o tuned/
  qexport tuned/ --to onnx-int8 -o out/

\b
MODEL is a Hub id, a checkpoint folder, or `reference` (the small model that comes with qasr).
DATA is JSON lines ('audio', and labels: 'phonemes' and 'levels', or 'text'), a folder of audio with a text beside each
file, or a Hugging Face dataset; with --distill, any folder or list of audio.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; then --resume goes on.
"""

_SCHEMES = ("int8", "int4", "int2")
_NEEDS = ("torch", "transformers", "rapidfuzz", "safetensors")

_SCHEME_OPTIONS = (
    click.option("--scheme", type=click.Choice(_SCHEMES), default="int8", show_default=True),
    click.option("--partial", is_flag=True, help="Quantize attention and feed-forward alone."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Layers left in float."),
    group_size_option("Inputs that share a scale, for int4 and int2.  [default: 64]"),
    click.option("--symmetric", is_flag=True, help="Groups without zero points, for int4 and int2, as hf-gptq needs."),
    click.option("--asymmetric-inputs", is_flag=True, help="Input ranges with zero points; TensorRT knows none."),
    click.option("--round-outputs", is_flag=True, help="Round outputs too, as torchscript-qnnpack does."),
    click.option(
        "--start",
        type=click.Choice(["gptq", "mse"]),
        help="The technique with which int4 and int2 begin; mse needs less audio.  [default: gptq]",
    ),
    click.option(
        "--learn-scales/--fixed-scales",
        default=None,
        help="Train the step sizes, or leave them as observed.  [default: train them where weights have few bits]",
    ),
)
_LOSS_OPTIONS = (
    click.option("--distill", is_flag=True, help="Learn from the fp32 model's posteriors; needs no labels."),
    click.option("--ctc", is_flag=True, help="With --distill: learn from labels too."),
    click.option("--temperature", type=click.FloatRange(0, min_open=True), help="Of distillation.  [default: 1]"),
)
_TRAINING_OPTIONS = (
    click.option("--epochs", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True),
    click.option("--batch-seconds", type=click.FloatRange(0, min_open=True), default=48.0, show_default=True),
    click.option("--accumulate", type=click.IntRange(1), default=1, show_default=True, help="Batches a step."),
    click.option(
        "--learning-rate", type=click.FloatRange(0, min_open=True), default=2e-4, show_default=True, help="At its peak."
    ),
    click.option("--bf16", is_flag=True, help="Products in bfloat16, where the hardware has it."),
    click.option("--gradient-checkpointing", is_flag=True, help="Less memory, a third more time."),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1"),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--validation", type=click.Path(path_type=Path), help="Held-out data.  [default: part of the data]"),
    click.option("--held-out", type=click.FloatRange(0, 0.5, min_open=True), default=0.1, show_default=True),
    click.option("--evaluations", type=click.IntRange(1), default=4, show_default=True, help="On held-out data."),
    click.option("--patience", type=click.IntRange(1), help="Stop after so many trials without a lower loss."),
)
options_of_layers, options_of_loss, options_of_training = map(
    together, (_SCHEME_OPTIONS, _LOSS_OPTIONS, _TRAINING_OPTIONS)
)


@click.command(
    "qtrain", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.argument("model", default="reference")
@click.option("--data", required=True, help="Recordings to train on.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the result.")
@options_of_layers
@options_of_loss
@options_of_training
@click.option("--resume", is_flag=True, help="Go on from what an interrupted training has left.")
@click.option("--revision", help="Branch, tag or commit on the Hub.")
@click.option("--offline", is_flag=True, help="Use only what the Hub cache holds.")
@click.option("--force", is_flag=True, help="Replace a trained checkpoint that stands at the output.")
@verbosity
@click.version_option(__version__, prog_name="qtrain")
def command(
    model: str,
    data: str,
    output: Path,
    resume: bool,
    revision: str | None,
    offline: bool,
    force: bool,
    console: Console,
    **given: Any,
) -> None:
    """Train a checkpoint while its layers round, so that it loses less by quantization."""
    _check(given)
    absent = next((library for library in _NEEDS if not installed(library)), None)
    if absent is not None:
        raise MissingExtraError(absent, "export")
    for name in ("torchao", "torch.utils._pytree"):  # transformers imports torchao, which tells what it lacks
        logging.getLogger(name).setLevel(logging.ERROR)
    # Only now: torch takes seconds to import.
    from ..training import TrainingOptions
    from ..training.run import train

    defaults = TrainingOptions()
    chosen = {name: value for name, value in given.items() if value is not None}
    options = dataclasses.replace(defaults, **chosen | {"ctc": given["ctc"] or not given["distill"]})
    with _Display(console) as display:
        outcome = train(
            model,
            Path(data),
            output,
            options,
            display,
            revision=revision,
            offline=offline,
            resume=resume,
            force=force,
        )
    best, original = outcome.best, outcome.original
    console.print(
        f"{output}: {len(outcome.layers)} layers in {options.scheme}, step {best.step}; held-out error rate "
        f"{best.first:.2%} (fp32 {original.first:.2%}), mean of {len(best.error_rates)} levels {best.mean:.2%} "
        f"(fp32 {original.mean:.2%})"
    )


def _check(given: dict[str, Any]) -> None:
    """Raise click.UsageError for an option that would do nothing."""
    grouped = given["scheme"] != "int8"
    applies = {
        "group_size": (grouped, "--scheme int4 and int2"),
        "symmetric": (grouped, "--scheme int4 and int2"),
        "start": (grouped, "--scheme int4 and int2"),
        "asymmetric_inputs": (not grouped, "--scheme int8"),
        "round_outputs": (not grouped, "--scheme int8"),
        "ctc": (given["distill"], "--distill (without it, CTC is the loss anyway)"),
        "temperature": (given["distill"], "--distill"),
    }
    refuse_idle(given, applies)
    if not re.fullmatch(r"cpu|cuda(:\d+)?", given["device"]):
        raise click.UsageError(f"--device {given['device']!r} is neither cpu nor cuda")


class _Display:
    """A bar with the loss of the last step, and a line for each trial on held-out data."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=console.quiet or not console.is_terminal)
        self._console = console
        self._task: TaskID | None = None

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """Show a bar over ``items``."""
        return self._progress.track(items, total, description=description)

    def started(self, steps: int, done: int) -> None:
        """Set the bar's length."""
        self._task = self._progress.add_task("Training", total=steps, completed=done)

    def stepped(self, loss: float) -> None:
        """Move on, and show the loss."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, description=f"Training, loss {loss:.4f}")

    def evaluated(self, evaluation: Evaluation, *, what: str) -> None:
        """Print a line."""
        self._console.print(
            f"step {evaluation.step}, {what}: held-out loss {evaluation.loss:.5f}, error rate {evaluation.first:.2%}, "
            f"mean of levels {evaluation.mean:.2%}"
        )


def run() -> None:
    """Entry point."""
    main(command, interrupted="interrupted; add --resume to go on from the last trial on held-out data")
