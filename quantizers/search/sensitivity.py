"""How much each quantized layer alone changes the logits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ...models.stages import given_to_stages, linear_stages, resume
from ..calibration import Inputs, Track
from ..layers.quantized import Quantized
from ..layers.rewrite import swapped
from ..techniques.smoothquant import norm_folds


@dataclass(frozen=True)
class Damage:
    """How far logits are from those of the float model."""

    error: float
    """Root of the summed squared differences of all levels' logits over that of the float logits."""
    divergence: float
    """Mean over frames of KL(float ‖ quantized) between the first level's CTC posteriors, in nats."""


@dataclass(frozen=True)
class LayerDamage:
    """The damage of one layer that is quantized while all others are float."""

    layer: str
    scheme: str
    alone: Damage
    share: float
    """Its part of the sum of all layers' squared errors, 0 to 1: independent rounding errors add up in squares."""


@dataclass(frozen=True)
class Sensitivity:
    """The report, most sensitive layer first."""

    layers: tuple[LayerDamage, ...]
    together: Damage
    """With all layers quantized."""
    frames: int
    """Frames of logits compared."""


@torch.inference_mode()
def sensitivity(original: CTCModel, quantized: CTCModel, clips: Sequence[Inputs], track: Track) -> Sensitivity:
    """Compare ``original`` with itself with each quantized layer installed alone, on ``clips``.

    One pass per layer and clip, resumed at the stage of the layer. The norm in front of a smoothed layer is
    installed with it. Both models are unchanged afterwards.
    """
    layers = {name: module.scheme for name, module in quantized.named_modules() if isinstance(module, Quantized)}
    stages = linear_stages(original)
    sums = {name: _Sums() for name in ("", *layers)}
    steps = ((clip, name) for clip in clips for name in sums)
    expected: tuple[Tensor, ...] = ()
    given: list[Any] = []
    for clip, name in track(steps, "Measuring each layer", len(clips) * len(sums)):
        if not name:
            *given, expected = given_to_stages(original, *clip)
            logits = quantized(*clip)
        else:
            stage = stages[name].stage
            with _alone(original, quantized, name):
                logits = resume(original, stage, given[stage])
        sums[name].add(logits, expected)
    squares = sum(sums[name].difference for name in layers)
    report = [
        LayerDamage(name, str(scheme), sums[name].damage(), sums[name].difference / squares if squares else 0.0)
        for name, scheme in layers.items()
    ]
    report.sort(key=lambda layer: -layer.alone.error)
    return Sensitivity(tuple(report), sums[""].damage(), sums[""].frames)


class _Sums:
    def __init__(self) -> None:
        self.difference = self.size = self.divergence = 0.0
        self.frames = 0

    def add(self, logits: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
        for one, other in zip(logits, expected, strict=True):
            self.difference += float((one - other).double().square().sum())
            self.size += float(other.double().square().sum())
        posteriors = expected[0].double().log_softmax(-1)
        ratio = posteriors - logits[0].double().log_softmax(-1)
        self.divergence += float((posteriors.exp() * ratio).sum())
        self.frames += expected[0].shape[1]

    def damage(self) -> Damage:
        return Damage(math.sqrt(self.difference / self.size), self.divergence / self.frames)


class _Unsmoothed(nn.Module):
    """A float Linear behind a smoothed norm: its inputs are multiplied by the scales that the norm is divided by."""

    def __init__(self, linear: nn.Module, scales: Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.scales = scales

    def forward(self, input: Tensor) -> Tensor:
        return self.linear(input * self.scales)  # type: ignore[no-any-return]


@contextmanager
def _alone(original: CTCModel, quantized: CTCModel, name: str) -> Iterator[None]:
    sources = {name: quantized.get_submodule(name)}
    folded = next((one for one in norm_folds(original) if name in one.linears), None)
    if folded is not None:
        norm, smoothed = original.get_submodule(folded.source), quantized.get_submodule(folded.source)
        sources[folded.source] = smoothed
        others = [other for other in folded.linears if other != name]
        if others:
            scales = _smoothing_scales(norm, smoothed)
            sources |= {other: _Unsmoothed(original.get_submodule(other), scales) for other in others}
    with swapped(original, sources):
        yield


def _smoothing_scales(norm: Any, smoothed: Any) -> Tensor:
    """The scales (channels,) by which the outputs of ``norm`` were divided; 1 where a channel is always zero."""
    scales = torch.ones_like(norm.weight)
    for name in ("bias", "weight"):  # the same ratio in both, wherever neither is zero
        before, after = getattr(norm, name, None), getattr(smoothed, name, None)
        if before is not None and after is not None:
            scales = torch.where(after == 0, scales, before / after)
    return scales
