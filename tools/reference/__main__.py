"""The stages that make the bundled model and its data: ``python -m tools.reference STAGE``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from qasr.errors import MissingExtraError, QasrError
from qasr.reference import CALIBRATION, CHECKPOINT, EVALUATION

from .voices import require_espeak

SEED = 20261123
TRAINING, EVALUATION_COUNT, CALIBRATION_COUNT = 10_000, 160, 64
STEPS = 6_700


@click.group()
def cli() -> None:
    """Make the reference model and its data from nothing; needs espeak-ng and the extra [reference]."""


def _require_tools() -> None:
    """Report missing tools before minutes of work."""
    if find_spec("quran_transcript") is None:
        raise MissingExtraError("quran-transcript", "reference")
    require_espeak()


work_option = click.option(
    "--work", type=click.Path(path_type=Path), required=True, help="Folder of intermediate files."
)


@cli.command()
@work_option
def synthesize(work: Path) -> None:
    """Synthesize the training and evaluation utterances, and compute their features."""
    from .corpus import synthesize as run

    _require_tools()
    run(work, "evaluation", EVALUATION_COUNT, SEED)
    run(work, "train", TRAINING, SEED)


@cli.command()
@work_option
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--resume", is_flag=True, help="Continue from the last saved step.")
def train(work: Path, steps: int, resume: bool) -> None:
    """Train the model."""
    from .train import train as run

    run(work, steps=steps, resume=resume)


@cli.command()
@work_option
@click.option("--output", type=click.Path(path_type=Path), default=CHECKPOINT, show_default=True)
def checkpoint(work: Path, output: Path) -> None:
    """Write the trained weights as a checkpoint folder, in fp16."""
    from .pack import pack_checkpoint

    pack_checkpoint(work / "weights.pt", output)


@cli.command()
def audio() -> None:
    """Write the evaluation and calibration sets."""
    from .pack import pack_audio

    _require_tools()
    pack_audio(EVALUATION.parent, "evaluation", EVALUATION_COUNT, SEED)
    pack_audio(CALIBRATION.parent, "calibration", CALIBRATION_COUNT, SEED)


@cli.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Output folder, which is replaced.")
@click.option("--count", default=3_000, show_default=True, help="Utterances.")
def speech(output: Path, count: int) -> None:
    """Write training utterances as audio with labels, for qtrain."""
    from .pack import pack_audio

    _require_tools()
    pack_audio(output, "train", count, SEED)


@cli.command()
@click.option("--checkpoint", "folder", type=click.Path(path_type=Path), default=CHECKPOINT, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default=EVALUATION, help="Labelled JSON lines.")
def evaluate(folder: Path, data: Path) -> None:
    """Print a checkpoint's error rates by voice and level, computed in fp32."""
    from .evaluate import error_rates, load, read_corpus, table

    print(table(error_rates(load(folder), read_corpus(data, folder))))


@cli.command("all")
@work_option
@click.pass_context
def everything(context: click.Context, work: Path) -> None:
    """Run all stages in order."""
    for stage in (synthesize, train, checkpoint):
        context.invoke(stage, **({"work": work, "steps": STEPS} if stage is train else {"work": work}))
    context.invoke(audio)
    context.invoke(evaluate)


if __name__ == "__main__":
    try:
        cli()
    except QasrError as error:
        raise SystemExit(f"error: {error}") from None
