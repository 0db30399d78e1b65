"""``python -m qasr.reference.make``: the stages that make the bundled model and data, one by one or all."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import QasrError
from .. import CALIBRATION, CHECKPOINT, EVALUATION

SEED = 20261123
TRAINING, EVALUATION_COUNT, CALIBRATION_COUNT = 10_000, 160, 64
STEPS = 7_000


@click.group()
def cli() -> None:
    """Make the reference model and its data from nothing; needs espeak-ng and the extra [reference]."""


work_option = click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder for what is made.")


@cli.command()
@work_option
def synthesize(work: Path) -> None:
    """Speak the training and evaluation utterances and compute their features."""
    from .corpus import synthesize as run

    run(work, "evaluation", EVALUATION_COUNT, SEED)
    run(work, "train", TRAINING, SEED)


@cli.command()
@work_option
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the last saved step.")
def train(work: Path, steps: int, resume: bool) -> None:
    """Train the model."""
    from .train import train as run

    run(work, steps=steps, resume=resume)


@cli.command()
@work_option
@click.option("--output", type=click.Path(path_type=Path), default=CHECKPOINT, show_default=True)
def checkpoint(work: Path, output: Path) -> None:
    """Write the trained weights as a checkpoint folder in fp16."""
    from .pack import pack_checkpoint

    pack_checkpoint(work / "weights.pt", output)


@cli.command()
def audio() -> None:
    """Write the evaluation and calibration sets."""
    from .pack import pack_audio

    pack_audio(EVALUATION.parent, "evaluation", EVALUATION_COUNT, SEED)
    pack_audio(CALIBRATION.parent, "calibration", CALIBRATION_COUNT, SEED)


@cli.command("all")
@work_option
@click.pass_context
def everything(context: click.Context, work: Path) -> None:
    """Do everything, one stage after the other."""
    for stage in (synthesize, train, checkpoint):
        context.invoke(stage, **({"work": work, "steps": STEPS} if stage is train else {"work": work}))
    context.invoke(audio)


if __name__ == "__main__":
    try:
        cli()
    except QasrError as error:
        raise SystemExit(f"error: {error}") from None
