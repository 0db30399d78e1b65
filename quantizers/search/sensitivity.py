"""How much each quantized layer alone moves the logits."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models import DeployableCTC
from ..layers.quantized import Quantized
from ..technique import Track, replace
from ..techniques.smoothquant import norm_of_linear


@dataclass(frozen=True)
class Damage:
    """How far logits are from those of the float model."""

    error: float
    """Root of the summed squared differences of all levels' logits over that of the float ones."""
    divergence: float
    """Mean over frames of KL(float ‖ quantized) between the first level's CTC posteriors, in nats."""


@dataclass(frozen=True)
class LayerDamage:
    """The damage of one layer that is quantized while all others are float."""

    layer: str
    scheme: str
    alone: Damage
    share: float
    """Its part of the sum of all layers' squared errors, 0 to 1: independent roundings add up so."""


@dataclass(frozen=True)
class Sensitivity:
    """The report: most sensitive layer first."""

    layers: tuple[LayerDamage, ...]
    together: Damage
    """All layers quantized."""
    frames: int
    """Frames of logits compared."""


def float_twin(model: DeployableCTC) -> DeployableCTC:
    """A copy whose layers can be replaced without the other's noticing; the weights themselves are shared."""
    return copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})


@torch.inference_mode()
def sensitivity(
    original: DeployableCTC, quantized: DeployableCTC, clips: Sequence[Tensor], track: Track
) -> Sensitivity:
    """Compare with every quantized layer put alone into ``original``, on ``clips`` (1, T, F) float32 each.

    One pass a layer and clip, which begins at the conformer layer that holds it: what comes before is float, so its
    output is kept. A smoothed layer takes the LayerNorm in front along. Both models are left as they were.
    """
    layers = {name: module.scheme for name, module in quantized.named_modules() if isinstance(module, Quantized)}
    sums = {name: _Sums() for name in ("", *layers)}
    steps = ((clip, name) for clip in clips for name in sums)
    expected: tuple[Tensor, ...] = ()
    passed: list[Tensor] = []
    for clip, name in track(steps, "Measuring each layer", len(clips) * len(sums)):
        if not name:
            expected, passed = _run_float(original, clip)
            found = quantized(clip, _length(clip))
        else:
            with _alone(original, quantized, name), _resumed(original, passed, _position(original, name)):
                found = original(clip, _length(clip))
        sums[name].add(found, expected)
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

    def add(self, found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
        for one, other in zip(found, expected, strict=True):
            self.difference += float((one - other).double().square().sum())
            self.size += float(other.double().square().sum())
        posteriors = expected[0].double().log_softmax(-1)
        ratio = posteriors - found[0].double().log_softmax(-1)
        self.divergence += float((posteriors.exp() * ratio).sum())
        self.frames += expected[0].shape[1]

    def damage(self) -> Damage:
        return Damage(math.sqrt(self.difference / self.size), self.divergence / self.frames)


class _Given(nn.Module):
    """Stands for the conformer layers before: gives what they gave."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden

    def forward(self, hidden: Tensor, mask: Tensor, index: Tensor | None) -> Tensor:
        return self.hidden


def _run_float(model: DeployableCTC, clip: Tensor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    """The logits, and what each conformer layer gave."""
    passed: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *arguments: passed.append(arguments[2])) for layer in model.layers]
    try:
        return model(clip, _length(clip)), passed
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _alone(original: DeployableCTC, quantized: DeployableCTC, name: str) -> Iterator[None]:
    norm = norm_of_linear(original).get(name)
    names = [name] if norm is None else [name, norm]
    kept = {name: original.get_submodule(name) for name in names}
    try:
        for name in names:
            replace(original, name, quantized.get_submodule(name))
        yield
    finally:
        for name, module in kept.items():
            replace(original, name, module)


@contextmanager
def _resumed(model: DeployableCTC, passed: list[Tensor], position: int) -> Iterator[None]:
    layers = model.layers
    if position > 0:
        model.layers = nn.ModuleList([_Given(passed[position - 1]), *layers[position:]])
    try:
        yield
    finally:
        model.layers = layers


def _position(model: DeployableCTC, name: str) -> int:
    """Number of conformer layers that come before the layer called ``name``."""
    room, _, rest = name.partition(".")
    if room == "layers":
        return int(rest.partition(".")[0])
    return 0 if room == "projection" else len(model.layers)


def _length(clip: Tensor) -> Tensor:
    return torch.tensor([clip.shape[1]])
