"""The training itself: steps, ranges that warm up and freeze, held-out trials, a state to go on from."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..audio import LogMel
from ..models import Checkpoint, DeployableCTC
from ..quantizers import TECHNIQUES, CalibrationSet, Options, TooFewFramesError
from ..quantizers.layers import fake
from ..recitation.multilevel import loss_weights
from . import losses
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
    """How a training shows what it is doing."""

    def track(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """``items``, with a display of how many are done."""

    def began(self, steps: int, done: int) -> None:
        """How many steps there will be, and how many were done before."""

    def stepped(self, loss: float) -> None:
        """A step was done."""

    def evaluated(self, evaluation: Evaluation, *, what: str) -> None:
        """``what`` was tried on the held-out data."""


@dataclass(frozen=True)
class Outcome:
    """The model with the least loss on held-out data, its layers as engines take them, and how it came to be."""

    model: DeployableCTC
    layers: list[str]
    """Those that are quantized."""
    original: Evaluation
    """Of the fp32 model."""
    history: list[Evaluation]
    best: Evaluation


class Trainer:
    """One training of a checkpoint's model, whose state lies in ``folder``."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        training: TrainingSet,
        held_out: TrainingSet,
        settings: LogMel,
        options: TrainingOptions,
        folder: Path,
        display: Display,
    ) -> None:
        self._training, self._held_out, self._settings, self._options = training, held_out, settings, options
        self._folder, self._display = folder, display
        self._device = torch.device(options.device)
        torch.manual_seed(options.seed)
        torch.set_flush_denormal(True)
        self.model = checkpoint.deployable()
        self.source = checkpoint.source(self.model)
        self.model.to(self._device)
        self._weights = loss_weights(checkpoint.config, list(self.model.levels))
        self._blank = int(checkpoint.config.pad_token_id)
        self._teacher: DeployableCTC | None = copy.deepcopy(self.model)
        self._frames = fake.Frames()
        told = dataclasses.replace(options.for_layers(), track=display.track)
        biasless = fake.without_bias(self.model)
        if told.scheme.group_size is not None:
            self._begin(told)
        self.layers = fake.prepare(
            self.model, told, self._frames, learn_scales=options.learns_scales, biasless=biasless
        )
        self.model.to(self._device)
        if options.gradient_checkpointing:
            _compute_twice(self.model)
        groups = len(training.groups(options.batch_seconds))
        self.steps = max(1, round(options.epochs * groups / options.accumulate))
        self._watched = max(1, round(options.watch_share * self.steps))
        self._step = 0
        self._history: list[Evaluation] = []
        self._optimizer = torch.optim.AdamW(_groups(self.model), weight_decay=0.0, betas=_BETAS)

    def _begin(self, options: Options) -> None:
        """Round the weights by the technique with which the training begins. Raises QuantizationError."""
        try:
            TECHNIQUES[self._options.start](self.model, options, _calibration(self._training, self._settings))
        except TooFewFramesError as error:
            raise TooFewFramesError(f"{error}, or begin with --start mse") from None

    def run(self, *, resume: bool) -> Outcome:
        """Train, or go on. Raises DivergedError once the loss is no number, and TrainingError for another's state."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if resume:
            self._restore()
        self._display.began(self.steps, self._step)
        original = self._evaluate(self._run_teacher, step=0)
        self._display.evaluated(original, what="fp32")
        if not self._options.distill and all(utterance.ids for utterance in self._held_out.utterances):
            self._teacher = None  # a model's worth of memory
        every = max(1, self.steps // self._options.evaluations)
        for batches in self._rest():
            loss = self._take_step(batches)
            self._display.stepped(loss)
            if self._step % every and self._step != self.steps:
                continue
            tried = self._evaluate(self._run, self._step)
            self._display.evaluated(tried, what=self._options.scheme)
            self._history.append(tried)
            self._save()
            if self._tired():
                break
        best = self._best()
        if best is None:
            raise TrainingError("the training was over before anything was tried; raise --epochs")
        self._load_model(self._load(self._folder / "best.pt"))
        _compute_once(self.model)
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
                # A pass of its own, so that computing a layer twice for its gradient watches nothing twice.
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
        self._frames.valid = self._valid(batch)
        # What is tried is what the finished model computes: float32 apart from what is rounded.
        bf16 = self._options.bf16 and self.model.training
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
            found = self.model(batch.features.to(self._device), batch.lengths.to(self._device))
        return dict(zip(self.model.levels, found, strict=True))

    @torch.no_grad()
    def _run_teacher(self, batch: Batch) -> Logits:
        assert self._teacher is not None
        found = self._teacher(batch.features.to(self._device), batch.lengths.to(self._device))
        return dict(zip(self.model.levels, found, strict=True))

    def _loss(self, batch: Batch, logits: Logits) -> Tensor:
        options, total = self._options, torch.zeros((), device=self._device)
        if options.ctc:
            total = total + losses.ctc(logits, batch, self._blank, self._weights)
        if options.distill:
            teacher = self._run_teacher(batch)
            valid = self._valid(batch)
            total = total + losses.distillation(logits, teacher, valid, self._weights, options.temperature)
        return total

    def _valid(self, batch: Batch) -> Tensor:
        frames = torch.arange(batch.features.shape[1])
        return (frames[None, :] < batch.lengths[:, None]).to(self._device)

    def _evaluate(self, model: Any, step: int) -> Evaluation:
        self.model.eval()
        batches = self._held_out.batches(self._options.batch_seconds, self._settings)
        return evaluate(model, batches, self._loss, self._expected, self._blank, step)

    def _expected(self, batch: Batch) -> list[dict[str, list[int]]]:
        if all(batch.ids):
            return [{level: list(ids) for level, ids in one.items()} for one in batch.ids]
        return transcripts(self._run_teacher(batch), batch.lengths, self._blank)

    def _rest(self) -> Iterator[list[Batch]]:
        """The batches of every step that is still to be done. An epoch's order depends on the seed and its number."""
        options = self._options
        ahead = self._step * options.accumulate
        gathered: list[Batch] = []
        epoch = 0
        while self._step < self.steps:
            groups = self._training.groups(options.batch_seconds, np.random.default_rng((options.seed, epoch)))
            epoch += 1
            for places in groups[min(ahead, len(groups)) :]:
                gathered.append(self._training.batch(places, self._settings))
                if len(gathered) == options.accumulate:
                    yield gathered
                    gathered = []
                if self._step >= self.steps:
                    return
            ahead = max(0, ahead - len(groups))

    def _best(self) -> Evaluation | None:
        return min(self._history, key=lambda one: one.loss, default=None)

    def _tired(self) -> bool:
        patience, best = self._options.patience, self._best()
        if patience is None or best is None:
            return False
        return len(self._history) - 1 - self._history.index(best) >= patience

    def _save(self) -> None:
        """The state to go on from, and the model where it is the best so far; each file whole or not at all."""
        if self._best() is self._history[-1]:
            _save(self.model.state_dict(), self._folder / "best.pt")
        state = {
            "identity": self._identity(),
            "step": self._step,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "history": [asdict(one) for one in self._history],
        }
        _save(state, self._folder / "state.pt")

    def _restore(self) -> None:
        path = self._folder / "state.pt"
        if not path.is_file():
            raise TrainingError(f"{self._folder}: holds no state to resume; leave --resume out")
        state = self._load(path)
        if state["identity"] != self._identity():
            raise TrainingError(
                f"{path}: is the state of a training of another checkpoint, or with other options or data; "
                "leave --resume out"
            )
        self._load_model(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step = state["step"]
        self._history = [Evaluation(**one) for one in state["history"]]
        if self._step > self._watched and self._options.learns_scales:
            fake.learn_ranges(self.model)

    def _load(self, path: Path) -> dict[str, Any]:
        try:
            found: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
        except (RuntimeError, OSError, EOFError, ValueError, UnpicklingError) as error:
            raise TrainingError(f"{path}: not a sound state ({_first_line(error)}); leave --resume out") from None
        return found

    def _load_model(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state)

    def _identity(self) -> str:
        data = f"{self._training.sha256} {self._held_out.sha256}"
        return f"{self._options.identity()} {self.source.sha256} {data}"

    def _diverged(self, loss: float) -> str:
        kept = (
            f"the state of step {self._history[-1].step} is kept in {self._folder}: go on from it with --resume"
            if self._history
            else "no state was kept yet: begin again"
        )
        return f"the loss became {loss} at step {self._step + 1}; {kept} and a lower --learning-rate"


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    warm_up = max(1, round(_WARM_UP_SHARE * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _calibration(training: TrainingSet, settings: LogMel) -> CalibrationSet:
    """Some of the training audio, for techniques with which a training begins."""
    count = min(_CALIBRATION_CLIPS, len(training.utterances))
    places = [place * len(training.utterances) // count for place in range(count)]
    seconds = sum(training.utterances[place].seconds for place in places)

    def features() -> Iterator[Tensor]:
        for place in places:
            yield training.batch([place], settings).features

    return CalibrationSet(training.name, training.sha256, round(seconds, 3), count, features, str(settings))


def _groups(model: DeployableCTC) -> list[dict[str, Any]]:
    """What is trained, and at which share of the rate: Adam's steps know no magnitude, and scales are small."""
    scales = [value for name, value in model.named_parameters() if name.endswith("scale")]
    known = set(map(id, scales))
    others = [value for value in model.parameters() if id(value) not in known]
    return [{"params": others, "share": 1.0}, {"params": scales, "share": _RATE_OF_SCALES}]


def _compute_twice(model: DeployableCTC) -> None:
    """Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174), one conformer layer at a time."""
    from torch.utils.checkpoint import checkpoint

    for layer in model.layers:
        layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)


def _compute_once(model: DeployableCTC) -> None:
    for layer in model.layers:
        layer.__dict__.pop("forward", None)


def _save(content: Any, path: Path) -> None:
    partial = path.with_suffix(".partial")
    try:
        torch.save(content, partial)
    except RuntimeError as error:  # what torch makes of a full disk
        raise TrainingError(f"{path}: cannot be written ({_first_line(error)})") from None
    partial.replace(path)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
