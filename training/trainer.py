"""The training loop: steps, activation ranges that settle and freeze, evaluations on held-out data, resuming."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..models import Checkpoint, CTCModel
from ..quantizers import Quantization, TooFewFramesError
from ..quantizers.apply import technique
from ..quantizers.calibration import CalibrationSet, Inputs, Work
from ..quantizers.layers import fake
from ..recitation.multilevel import loss_weights
from . import losses, state
from .data import Batch, TrainingSet
from .errors import DivergedError, TrainingError
from .evaluation import Evaluation, evaluate, transcripts
from .losses import Logits
from .options import TrainingOptions

_WARM_UP_SHARE = 0.05
_LARGEST_GRADIENT = 1.0
_BETAS = (0.9, 0.98)
_RATE_OF_SCALES = 0.1
_CALIBRATION_CLIPS = 64


class Display(Protocol):
    """Shows the progress of a training."""

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """``items``, with a display of how many are done."""

    def started(self, steps: int, done: int) -> None:
        """The training has ``steps`` steps, of which ``done`` were done before it was resumed."""

    def stepped(self, loss: float) -> None:
        """A step is done."""

    def evaluated(self, evaluation: Evaluation, *, what: str) -> None:
        """``what`` was evaluated on the held-out data."""


@dataclass(frozen=True)
class Outcome:
    """The model with the least loss on held-out data, with quantized layers, and the history of its training."""

    model: CTCModel
    layers: list[str]
    """Names of the quantized layers."""
    original: Evaluation
    """Evaluation of the fp32 model."""
    history: list[Evaluation]
    best: Evaluation


class Trainer:
    """One training of a checkpoint's model; its state is kept in ``folder``."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        training: TrainingSet,
        held_out: TrainingSet,
        options: TrainingOptions,
        folder: Path,
        display: Display,
    ) -> None:
        self._training, self._held_out, self._options = training, held_out, options
        self._front_end = checkpoint.front_end
        self._folder, self._display = folder, display
        self._device = torch.device(options.device)
        torch.manual_seed(options.seed)
        torch.set_flush_denormal(True)
        self.model = checkpoint.deployable()
        self.source = checkpoint.source(self.model)
        self.model.to(self._device)
        self._weights = loss_weights(checkpoint.config, list(self.model.levels))
        self._blank = next(iter(checkpoint.levels.values())).blank
        self._teacher: CTCModel | None = copy.deepcopy(self.model)
        self._frames = fake.Frames()
        quantization = options.quantization(self.model)
        biasless = fake.without_bias(self.model)
        if quantization.weight.group_size is not None:
            self._round_weights(quantization)
        self.layers = fake.prepare(
            self.model, quantization, self._frames, learn_scales=options.learns_scales, biasless=biasless
        )
        self.model.to(self._device)
        if options.gradient_checkpointing:
            _with_checkpointing(self.model)
        groups = len(training.groups(options.batch_seconds))
        self.steps = max(1, round(options.epochs * groups / options.accumulate))
        self._watched = max(1, round(options.watch_share * self.steps))
        self._step = 0
        self._history: list[Evaluation] = []
        self._optimizer = torch.optim.AdamW(_groups(self.model), weight_decay=0.0, betas=_BETAS)

    def _round_weights(self, quantization: Quantization) -> None:
        """Round low-bit weights by the method of ``options.start``. Raises QuantizationError."""
        work = Work(calibration=self._calibration(), track=self._display.track)
        try:
            technique(self._options.start)(self.model, quantization, work)
        except TooFewFramesError as error:
            raise TooFewFramesError(f"{error}, or use --start mse") from None

    def _calibration(self) -> CalibrationSet:
        """Some of the training audio, for the method of ``options.start``."""
        training, front_end = self._training, self._front_end
        count = min(_CALIBRATION_CLIPS, len(training.utterances))
        indices = [index * len(training.utterances) // count for index in range(count)]
        seconds = sum(training.utterances[index].seconds for index in indices)

        def inputs() -> Iterator[Inputs]:
            for index in indices:
                batch = training.batch([index], front_end)
                yield batch.inputs, batch.lengths

        return CalibrationSet(training.name, training.sha256, round(seconds, 3), count, inputs, str(front_end))

    def run(self, *, resume: bool) -> Outcome:
        """Train or resume. Raises DivergedError for an infinite loss, TrainingError for another training's state."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if resume:
            self._restore()
        self._display.started(self.steps, self._step)
        original = self._evaluate(self._run_teacher, step=0)
        self._display.evaluated(original, what="fp32")
        if not self._options.distill and all(utterance.ids for utterance in self._held_out.utterances):
            self._teacher = None  # frees the memory of one model
        every = max(1, self.steps // self._options.evaluations)
        for batches in self._remaining_batches():
            loss = self._take_step(batches)
            self._display.stepped(loss)
            if self._step % every and self._step != self.steps:
                continue
            evaluation = self._evaluate(self._run, self._step)
            self._display.evaluated(evaluation, what=self._options.scheme)
            self._history.append(evaluation)
            self._save()
            if self._out_of_patience():
                break
        best = self._best()
        if best is None:
            raise TrainingError("the training ended before any evaluation; raise --epochs")
        self.model.load_state_dict(self._load(self._folder / "best.pt"))
        _without_checkpointing(self.model)
        return Outcome(fake.finished(self.model), self.layers, original, self._history, best)

    def _take_step(self, batches: list[Batch]) -> float:
        self.model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = group["share"] * self._options.learning_rate * rate(self._step, self.steps)
        watched = self._step < self._watched
        if self._step == self._watched and self._options.learns_scales:
            fake.learn_ranges(self.model)
        total = 0.0
        for batch in batches:
            if watched:
                # A separate pass: gradient checkpointing, which computes blocks twice, would count batches twice.
                with torch.no_grad(), fake.watching(self.model):
                    self._run(batch)
            loss = self._loss(batch, self._run(batch)) / len(batches)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        size = nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
        if not math.isfinite(total) or not math.isfinite(float(size)):
            raise DivergedError(self._diverged(total))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._step += 1
        return total

    def _run(self, batch: Batch) -> Logits:
        lengths = batch.lengths.to(self._device)
        self._frames.set(batch.inputs.shape[1], lengths, self._front_end, self.model.strides)
        # Evaluations compute as the finished model does: in float32 apart from what is rounded.
        bf16 = self._options.bf16 and self.model.training
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
            logits = self.model(batch.inputs.to(self._device), lengths)
        return dict(zip(self.model.levels, logits, strict=True))

    @torch.no_grad()
    def _run_teacher(self, batch: Batch) -> Logits:
        assert self._teacher is not None
        logits = self._teacher(batch.inputs.to(self._device), batch.lengths.to(self._device))
        return dict(zip(self.model.levels, logits, strict=True))

    def _loss(self, batch: Batch, logits: Logits) -> Tensor:
        options, total = self._options, torch.zeros((), device=self._device)
        lengths = self.model.output_lengths(batch.lengths)
        if options.ctc:
            total = total + losses.ctc(logits, lengths, batch.ids, self._blank, self._weights)
        if options.distill:
            teacher = self._run_teacher(batch)
            frames = torch.arange(next(iter(logits.values())).shape[1])
            valid = (frames[None, :] < lengths[:, None]).to(self._device)
            total = total + losses.distillation(logits, teacher, valid, self._weights, options.temperature)
        return total

    def _evaluate(self, model: Any, step: int) -> Evaluation:
        self.model.eval()
        batches = self._held_out.batches(self._options.batch_seconds, self._front_end)
        lengths = self.model.output_lengths
        return evaluate(model, batches, self._loss, self._expected, lengths, self._blank, step)

    def _expected(self, batch: Batch) -> list[dict[str, list[int]]]:
        if all(batch.ids):
            return [{level: list(ids) for level, ids in one.items()} for one in batch.ids]
        return transcripts(self._run_teacher(batch), self.model.output_lengths(batch.lengths), self._blank)

    def _remaining_batches(self) -> Iterator[list[Batch]]:
        """The batches of every remaining step. An epoch's order depends on the seed and the epoch's number."""
        options = self._options
        ahead = self._step * options.accumulate
        gathered: list[Batch] = []
        epoch = 0
        while self._step < self.steps:
            groups = self._training.groups(options.batch_seconds, np.random.default_rng((options.seed, epoch)))
            epoch += 1
            for indices in groups[min(ahead, len(groups)) :]:
                gathered.append(self._training.batch(indices, self._front_end))
                if len(gathered) == options.accumulate:
                    yield gathered
                    gathered = []
                if self._step >= self.steps:
                    return
            ahead = max(0, ahead - len(groups))

    def _best(self) -> Evaluation | None:
        return min(self._history, key=lambda one: one.loss, default=None)

    def _out_of_patience(self) -> bool:
        patience, best = self._options.patience, self._best()
        if patience is None or best is None:
            return False
        return len(self._history) - 1 - self._history.index(best) >= patience

    def _save(self) -> None:
        """Write the state for resuming, and the model where it is the best so far; each file atomically."""
        if self._best() is self._history[-1]:
            state.save(self.model.state_dict(), self._folder / "best.pt")
        content = {
            "identity": self._identity(),
            "step": self._step,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "history": [asdict(one) for one in self._history],
        }
        state.save(content, self._folder / "state.pt")

    def _restore(self) -> None:
        path = self._folder / "state.pt"
        if not path.is_file():
            raise TrainingError(f"{self._folder}: has no state to resume; leave --resume out")
        content = self._load(path)
        if content["identity"] != self._identity():
            raise TrainingError(
                f"{path}: is the state of a training of another checkpoint, or with other options or data; "
                "leave --resume out"
            )
        self.model.load_state_dict(content["model"])
        self._optimizer.load_state_dict(content["optimizer"])
        self._step = content["step"]
        self._history = [Evaluation(**one) for one in content["history"]]
        if self._step > self._watched and self._options.learns_scales:
            fake.learn_ranges(self.model)

    def _load(self, path: Path) -> dict[str, Any]:
        return state.load(path, self._device)

    def _identity(self) -> str:
        data = f"{self._training.sha256} {self._held_out.sha256}"
        return f"{self._options.identity()} {self.source.sha256} {data}"

    def _diverged(self, loss: float) -> str:
        kept = (
            f"the state of step {self._history[-1].step} is kept in {self._folder}: continue from it with --resume"
            if self._history
            else "no state was kept yet: start again"
        )
        return f"the loss became {loss} at step {self._step + 1}; {kept} and a lower --learning-rate"


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    warm_up = max(1, round(_WARM_UP_SHARE * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _groups(model: CTCModel) -> list[dict[str, Any]]:
    """Parameters with their share of the learning rate: Adam's steps ignore magnitudes, and scales are small."""
    scales = [value for name, value in model.named_parameters() if name.endswith("scale")]
    known = set(map(id, scales))
    others = [value for value in model.parameters() if id(value) not in known]
    return [{"params": others, "share": 1.0}, {"params": scales, "share": _RATE_OF_SCALES}]


def _with_checkpointing(model: CTCModel) -> None:
    """Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174), one block at a time."""
    from torch.utils.checkpoint import checkpoint

    for block in model.blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def _without_checkpointing(model: CTCModel) -> None:
    for block in model.blocks:
        block.__dict__.pop("forward", None)
