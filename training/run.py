"""From a checkpoint's name and data to a trained checkpoint: load, read, train, write."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..audio import LogMel
from ..errors import QasrError
from ..models import open_checkpoint
from ..version import __version__
from . import folder
from .data import TrainingSet, Vocabularies, labelled, unlabelled
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

    What is needed to go on after an interruption stands in ``<output>.training`` until then. Raises QasrError of some
    kind; ``output`` appears whole or not at all.
    """
    folder.check_output(output, force=force)
    _check_device(options.device)
    with (
        _writing(output),
        open_checkpoint(model, revision=revision, offline=offline) as checkpoint,
        tempfile.TemporaryDirectory(prefix="qasr-") as scratch,
    ):
        if checkpoint.trained is not None:
            raise TrainingError(f"{model}: was trained while quantized already; begin with the checkpoint it came from")
        if checkpoint.config.add_adapter:
            raise TrainingError(f"{model}: has an adapter; such models cannot be written back as checkpoints")
        training, held_out = _data(data, checkpoint.levels, options, Path(scratch))
        place = folder.state_folder(output)
        settings = LogMel.from_json(checkpoint.features)
        trainer = Trainer(checkpoint, training, held_out, settings, options, place, display)
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
        shutil.rmtree(place)
        return outcome


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, QasrError):  # a file that was not found, say
            raise
        raise TrainingError(f"{output}: writing failed ({error.strerror or error})") from error


def _check_device(device: str) -> None:
    kind, _, index = device.partition(":")
    if kind == "cuda" and not (torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()):
        raise TrainingError(f"{device}: this torch sees no such GPU; train with --device cpu")


def _data(
    source: Path, vocabularies: Vocabularies, options: TrainingOptions, scratch: Path
) -> tuple[TrainingSet, TrainingSet]:
    (scratch / "training").mkdir()
    (scratch / "validation").mkdir()

    def opened(place: Path, name: str) -> TrainingSet:
        return labelled(place, vocabularies, scratch / name) if options.ctc else unlabelled(place)

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
