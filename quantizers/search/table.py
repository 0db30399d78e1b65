"""The loss of each unit in each format, one unit at a time, the rest in float."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from ...models import CTCModel
from ...models.greedy import greedy
from ...models.stages import given_to_stages, packed, resume, unpacked
from ..calibration import CalibrationSet, Track
from ..layers.rewrite import swapped
from .ledger import Ledger
from .units import Unit

ALGORITHM_VERSION = 1
"""To be raised with every change of what a loss is, so that no ledger returns the old ones."""

CLIPS = 32
# Parameters times seconds of a clip: small models are measured on whole sentences, one of 600 M on a word or two.
_PARAMETER_SECONDS = 4e8
_LEAST_SECONDS, _MOST_SECONDS = 0.8, 4.0
_BATCH = 16

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
    """Clips side by side: inputs (B, T, …) and lengths (B,) in raw frames."""

    inputs: Tensor
    lengths: Tensor


def identity() -> str:
    """All that decides the losses beside the model, the calibration set and the layers."""
    seconds = f"{_LEAST_SECONDS} to {_MOST_SECONDS} s, {_PARAMETER_SECONDS:g}"
    return f"table {ALGORITHM_VERSION}, {CLIPS} clips, {seconds}"


def windows(model: CTCModel, calibration: CalibrationSet) -> list[Batch]:
    """The middle of at most 32 clips, evenly spread, in batches: up to 4 s each, of large models 0.8 s."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    seconds = min(_MOST_SECONDS, max(_LEAST_SECONDS, _PARAMETER_SECONDS / parameters))
    frames = round(seconds * model.front_end.frames_per_second)
    count = min(CLIPS, calibration.clips)
    chosen = {index * calibration.clips // count for index in range(count)}
    per_frame = model.front_end.raw_per_frame
    clips = [
        _middle(inputs[0], int(length), frames, per_frame)
        for index, (inputs, length) in enumerate(calibration.inputs())
        if index in chosen
    ]
    clips.sort(key=lambda clip: clip[1])
    return [_batch(clips[start : start + _BATCH]) for start in range(0, len(clips), _BATCH)]


def _middle(clip: Tensor, length: int, frames: int, per_frame: int) -> tuple[Tensor, int]:
    start = max(0, (len(clip) - frames) // 2)
    return clip[start : start + frames], min(length - start * per_frame, frames * per_frame)


def _batch(clips: Sequence[tuple[Tensor, int]]) -> Batch:
    inputs, lengths = zip(*clips, strict=True)
    return Batch(nn.utils.rnn.pad_sequence(list(inputs), batch_first=True), torch.tensor(lengths))


class FloatPass:
    """The float model's posteriors and transcripts of the batches, and the state given to every stage.

    ``stages``: the stage that each Linear runs in.
    """

    def __init__(self, model: CTCModel, stages: Mapping[str, int], batches: Sequence[Batch], blank: int) -> None:
        self._model, self._stages, self._blank = model, stages, blank
        self._lengths = [model.output_lengths(batch.lengths) for batch in batches]
        self._given: list[list[Any]] = []
        self._posteriors: list[list[Tensor]] = []
        self._transcripts: list[Ids] = []
        for batch, lengths in zip(batches, self._lengths, strict=True):
            with torch.inference_mode():
                *given, logits = given_to_stages(model, batch.inputs, batch.lengths)
                self._given.append([packed(one) for one in given])
                self._posteriors.append([level.log_softmax(-1) for level in logits])
            self._transcripts += greedy(logits[0], lengths, blank)

    @torch.inference_mode()
    def loss(self, unit: Unit, variant: CTCModel) -> Loss:
        """With the layers of ``unit`` from ``variant``; the pass resumes at their stage."""
        divergence, frames, edits, symbols = 0.0, 0, 0, 0
        references = iter(self._transcripts)
        stage = min(self._stages[name] for name in unit.layers)
        with swapped(self._model, {name: variant.get_submodule(name) for name in unit.layers}):
            for given, posteriors, lengths in zip(self._given, self._posteriors, self._lengths, strict=True):
                logits = resume(self._model, stage, unpacked(given[stage]))
                divergence += _divergence(posteriors, logits, lengths)
                frames += int(lengths.sum())
                for ids in greedy(logits[0], lengths, self._blank):
                    expected = next(references)
                    edits += Levenshtein.distance(ids, expected)
                    symbols += len(expected)
        return Loss(divergence / frames, edits / max(symbols, 1))


def measure(
    float_pass: FloatPass,
    variants: Mapping[str, CTCModel],
    all_units: Sequence[Unit],
    ledgers: Mapping[str, Ledger],
    track: Track,
) -> dict[tuple[str, str], Loss]:
    """The loss of every (unit, format), by name; those in the ledgers are not measured again.

    ``variants``: for each format a model whose Linears all have it.
    """
    steps = [(unit, format_name) for unit in all_units for format_name in variants]
    losses: dict[tuple[str, str], Loss] = {}
    for unit, format_name in track(steps, "Measuring each layer in each format", len(steps)):
        known = ledgers[format_name].get(unit.name)
        if known is None:
            loss = float_pass.loss(unit, variants[format_name])
            known = [loss.divergence, loss.disagreement]
            ledgers[format_name].put(unit.name, known)
        losses[unit.name, format_name] = Loss(*known)
    return losses


def _divergence(expected: Sequence[Tensor], logits: Sequence[Tensor], lengths: Tensor) -> float:
    valid = torch.arange(expected[0].shape[1])[None] < lengths[:, None]
    total = 0.0
    for one, other in zip(expected, logits, strict=True):
        # In float64: a divergence of 1e-7 nats is lost in the rounding of float32.
        reference = one.double()
        ratio = reference - other.double().log_softmax(-1)
        total += float((reference.exp() * ratio).sum(-1)[valid].sum())
    return total
