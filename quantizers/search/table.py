"""What each unit loses in each format, one unit at a time, the rest in float."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from ...models import DeployableCTC
from ...models.greedy import greedy
from ...models.layers.attention import key_mask, relative_index
from ..technique import CalibrationSet, Track, replace
from .ledger import Ledger
from .units import Unit

CLIPS = 32
# Parameters times seconds of a clip: the small model hears whole sentences, one of 600 M a word or two.
_PARAMETER_SECONDS = 4e8
_LEAST_SECONDS, _MOST_SECONDS = 0.8, 4.0
_FRAMES_PER_SECOND = 50
_BATCH = 16
HEARD = f"{CLIPS} clips, {_LEAST_SECONDS} to {_MOST_SECONDS} s, {_PARAMETER_SECONDS:g}"
"""What decides the audio that layers are measured on, beside the model and the calibration set."""

Ids = list[int]


@dataclass(frozen=True)
class Loss:
    """How far logits are from those of the float model."""

    divergence: float
    """Mean over frames of KL(float ‖ quantized) between the CTC posteriors, summed over the levels, in nats."""
    disagreement: float
    """Edit distance of the first level's greedy transcripts over the length of the float model's."""


@dataclass(frozen=True)
class Batch:
    """Clips side by side: features (B, T, F) and lengths (B,)."""

    features: Tensor
    lengths: Tensor


def windows(model: DeployableCTC, calibration: CalibrationSet) -> list[Batch]:
    """At most 32 clips, evenly spread, of each the middle: up to 4 s, of large models 0.8 s, in batches."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    seconds = min(_MOST_SECONDS, max(_LEAST_SECONDS, _PARAMETER_SECONDS / parameters))
    frames = round(seconds * _FRAMES_PER_SECOND)
    count = min(CLIPS, calibration.clips)
    wanted = {place * calibration.clips // count for place in range(count)}
    clips = [_middle(clip[0], frames) for place, clip in enumerate(calibration.features()) if place in wanted]
    clips.sort(key=len)
    return [_batch(clips[start : start + _BATCH]) for start in range(0, len(clips), _BATCH)]


def _middle(clip: Tensor, frames: int) -> Tensor:
    start = max(0, (len(clip) - frames) // 2)
    return clip[start : start + frames]


def _batch(clips: Sequence[Tensor]) -> Batch:
    lengths = torch.tensor([len(clip) for clip in clips])
    return Batch(nn.utils.rnn.pad_sequence(list(clips), batch_first=True), lengths)


class Passed:
    """The float model's posteriors and transcripts of the batches, and what every conformer layer was given."""

    def __init__(self, model: DeployableCTC, batches: Sequence[Batch], blank: int) -> None:
        self._model, self._batches, self._blank = model, batches, blank
        self._hidden: list[list[Tensor]] = []
        self._posteriors: list[list[Tensor]] = []
        self._transcripts: list[Ids] = []
        self._outputs = [self._begin(batch) for batch in batches]
        for batch, logits in zip(batches, self._outputs, strict=True):
            self._posteriors.append([level.log_softmax(-1) for level in logits])
            self._transcripts += greedy(logits[0], self._lengths(batch), blank)
        del self._outputs

    @torch.inference_mode()
    def _begin(self, batch: Batch) -> tuple[Tensor, ...]:
        given: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])) for layer in self._model.layers
        ]
        try:
            return self._model(batch.features, batch.lengths)  # type: ignore[no-any-return]
        finally:
            for hook in hooks:
                hook.remove()
            self._hidden.append(given)

    def loss(self, unit: Unit, twin: DeployableCTC) -> Loss:
        """With the layers of ``unit`` as ``twin`` has them; the pass begins at the conformer layer that holds them."""
        divergence, frames, edits, symbols = 0.0, 0, 0, 0
        references = iter(self._transcripts)
        with swapped(self._model, dict.fromkeys(unit.layers, twin)):
            for place, batch in enumerate(self._batches):
                logits = self._resume(place, position(self._model, unit.layers[0]))
                lengths = self._lengths(batch)
                divergence += _divergence(self._posteriors[place], logits, lengths)
                frames += int(lengths.sum())
                for found in greedy(logits[0], lengths, self._blank):
                    expected = next(references)
                    edits += Levenshtein.distance(found, expected)
                    symbols += len(expected)
        return Loss(divergence / frames, edits / max(symbols, 1))

    @torch.inference_mode()
    def _resume(self, place: int, start: int) -> tuple[Tensor, ...]:
        model, batch = self._model, self._batches[place]
        if start < 0:
            return model(batch.features, batch.lengths)  # type: ignore[no-any-return]
        frames = batch.features.shape[1]
        if start < len(model.layers):
            hidden = self._hidden[place][start]
            mask = key_mask(batch.lengths, frames, hidden.dtype)
            index = None if model.distances is None else relative_index(frames, *model.distances, hidden.device)
            for layer in list(model.layers)[start:]:
                hidden = layer(hidden, mask, index)
            passed = hidden if model.adapter is None else model.adapter(hidden, batch.lengths)
            return torch.split(model.heads(passed), list(model.levels.values()), dim=-1)
        return model(batch.features, batch.lengths)  # type: ignore[no-any-return]

    def _lengths(self, batch: Batch) -> Tensor:
        return output_lengths(self._model, batch.lengths)


def measure(
    passed: Passed,
    twins: Mapping[str, DeployableCTC],
    all_units: Sequence[Unit],
    ledgers: Mapping[str, Ledger],
    track: Track,
) -> dict[tuple[str, str], Loss]:
    """The loss of every (unit, format), by name; those in the ledgers are not measured again."""
    steps = [(unit, form) for unit in all_units for form in twins]
    found: dict[tuple[str, str], Loss] = {}
    for unit, form in track(steps, "Measuring each layer in each format", len(steps)):
        known = ledgers[form].get(unit.name)
        if known is None:
            loss = passed.loss(unit, twins[form])
            known = [loss.divergence, loss.disagreement]
            ledgers[form].put(unit.name, known)
        found[unit.name, form] = Loss(*known)
    return found


@contextmanager
def swapped(model: DeployableCTC, sources: Mapping[str, DeployableCTC]) -> Iterator[None]:
    """Within, each layer named is that of its source."""
    kept = {name: model.get_submodule(name) for name in sources}
    try:
        for name, source in sources.items():
            replace(model, name, source.get_submodule(name))
        yield
    finally:
        for name, module in kept.items():
            replace(model, name, module)


def position(model: DeployableCTC, name: str) -> int:
    """The conformer layer that holds the layer called ``name``; −1 before the first, their number after the last."""
    room, _, rest = name.partition(".")
    if room == "layers":
        return int(rest.partition(".")[0])
    return -1 if room == "projection" else len(model.layers)


def output_lengths(model: DeployableCTC, lengths: Tensor) -> Tensor:
    """Valid frames of logits."""
    for kernel, stride, padding in model.subsampling:
        lengths = torch.div(lengths + 2 * padding - kernel, stride, rounding_mode="floor") + 1
    return lengths


def _divergence(expected: Sequence[Tensor], found: Sequence[Tensor], lengths: Tensor) -> float:
    valid = torch.arange(expected[0].shape[1])[None] < lengths[:, None]
    total = 0.0
    for one, other in zip(expected, found, strict=True):
        # In float64: a divergence of 1e-7 nats is lost in the rounding of float32.
        reference = one.double()
        ratio = reference - other.double().log_softmax(-1)
        total += float((reference.exp() * ratio).sum(-1)[valid].sum())
    return total
