"""From a checkpoint's name and data to a trained checkpoint: open, read, train, write."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import QasrError
from ..models import Checkpoint, open_checkpoint
from ..version import __version__
from . import folder
from .data import TrainingSet, labelled, unlabelled
from .errors import TrainingError
from .evaluation import Evaluation
from .options import TrainingOptions
from .trainer import Display, Outcome, Trainer


def train(
    model: str,
    data: Path,
    output: Path,
    options: TrainingOptions,
    display: Display,
    *,
    revision: str | None = None,
    offline: bool = False,
    resume: bool = False,
    force: bool = False,
) -> Outcome:
    """Train the checkpoint called ``model`` (see ``open_checkpoint``) and write the result to ``output``.

    The state for ``resume`` is kept in ``<output>.training`` until then. ``output`` is written atomically. Raises
    QasrError.
    """
    folder.check_output(output, force=force)
    _check_device(options.device)
    with (
        _writing(output),
        open_checkpoint(model, revision=revision, offline=offline) as checkpoint,
        tempfile.TemporaryDirectory(prefix="qasr-") as scratch,
    ):
        if checkpoint.trained is not None:
            raise TrainingError(f"{model}: was trained while quantized already; train the checkpoint it came from")
        training, held_out = _data(data, checkpoint, options, Path(scratch))
        state = folder.state_folder(output)
        trainer = Trainer(checkpoint, training, held_out, options, state, display)
        outcome = trainer.run(resume=resume)
        record = {
            "qasr_version": __version__,
            "parent": {"name": checkpoint.name, "revision": checkpoint.revision, "sha256": trainer.source.sha256},
            "options": _plain(options),
            "training": _described(training),
            "held_out": _described(held_out),
            "steps": trainer.steps,
            "fp32": _figures(outcome.original),
            "history": [_figures(one) for one in outcome.history],
            "best_step": outcome.best.step,
        }
        folder.write(checkpoint, outcome, record, output, partial=options.partial)
        shutil.rmtree(state)
        return outcome


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, QasrError):  # such as a file that was not found
            raise
        raise TrainingError(f"{output}: writing failed ({error.strerror or error})") from error


def _check_device(device: str) -> None:
    kind, _, index = device.partition(":")
    if kind == "cuda" and not (torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()):
        raise TrainingError(f"{device}: this torch sees no such GPU; train with --device cpu")


def _data(
    source: Path, checkpoint: Checkpoint, options: TrainingOptions, scratch: Path
) -> tuple[TrainingSet, TrainingSet]:
    (scratch / "training").mkdir()
    (scratch / "validation").mkdir()

    def opened(path: Path, name: str) -> TrainingSet:
        if options.ctc:
            return labelled(path, checkpoint.levels, scratch / name, checkpoint.front_end)
        return unlabelled(path, checkpoint.front_end)

    training = opened(source, "training")
    if options.validation is None:
        return training.split(options.held_out, options.seed)
    return training, opened(options.validation, "validation")


def _plain(options: TrainingOptions) -> dict[str, Any]:
    chosen = dataclasses.asdict(dataclasses.replace(options, validation=None))
    return {name: value for name, value in chosen.items() if name not in ("device", "validation")}


def _described(data: TrainingSet) -> dict[str, Any]:
    return {
        "name": data.name,
        "sha256": data.sha256,
        "utterances": len(data.utterances),
        "seconds": round(data.seconds, 3),
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    rates = {level: round(rate, 6) for level, rate in evaluation.error_rates.items()}
    return {"step": evaluation.step, "loss": float(f"{evaluation.loss:.6g}"), "error_rates": rates}
