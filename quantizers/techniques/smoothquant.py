"""SmoothQuant: spread that is hard to round moves from the activations into the weights, then static INT8.

Xiao et al. 2022, arXiv:2211.10438. Where a LayerNorm feeds only Linears, each of its channels j may be divided by s_j
and column j of the Linears multiplied by it: in float nothing changes. With s_j = max|X_j|^a / max|W_j|^(1-a), the
strength a sets how much of the spread between channels goes into the weights, whose scale per output channel copes with
it better than the one scale of all activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ...models.architecture import FoldedLayers
from ..calibration import CalibrationSet, Work
from ..errors import QuantizationError
from ..layers.fold import fold, is_norm, smoothed
from ..layers.quantized import Range
from ..layers.rewrite import quantizable
from ..options import Quantization
from . import static
from .observers import MinMax

STRENGTHS = tuple(step / 10 for step in range(11))
"""Strengths that are tried, beside no smoothing at all."""

# Rows of a layer's input that are kept, over all clips: 4 MB per layer of the full-size model.
_ROWS = 1024
# One clip in this many is held back: strengths are compared on it, and scales are not computed from it.
_HELD_BACK = 4
_SMALLEST = 1e-5


@dataclass(frozen=True)
class Notes:
    """For the manifest."""

    strengths: dict[str, float]
    """By the name of the smoothed Linear."""


def apply(model: CTCModel, quantization: Quantization, work: Work) -> Notes:
    """Fold the smoothing into norms and Linears, and quantize as ``static`` does.

    Without a ``strength`` the Linears behind each norm get the strength whose quantized outputs are nearest to the
    float ones on calibration clips held back, or none.
    """
    calibration = work.need_calibration("smoothquant")
    strength = quantization.smoothquant.strength
    if strength is not None and not 0.0 <= strength <= 1.0:
        raise QuantizationError(f"the strength of smoothing must lie between 0 and 1, not {strength:g}")
    chosen = dict(quantizable(model, quantization.exclude))
    groups = [(folded, _linears(folded, chosen)) for folded in norm_folds(model)]
    groups = [(folded, linears) for folded, linears in groups if linears]
    inputs = _observe(model, [next(iter(linears.items())) for _, linears in groups], calibration)
    strengths: dict[str, float] = {}
    for folded, linears in groups:
        first, *_ = linears
        layers = list(linears.values())
        best = _best_strength(layers, inputs[first], quantization) if strength is None else strength
        if best is not None and fold(model, folded, _scales(layers, inputs[first], best)):
            strengths |= dict.fromkeys(linears, best)
    if not strengths:
        raise QuantizationError("smoothing would change the scales of no layer; use --method static")
    static.apply(model, quantization, work)
    return Notes(strengths)


def norm_folds(model: CTCModel) -> list[FoldedLayers]:
    """The model's folds whose source is a norm."""
    return [folded for folded in model.find_folds() if is_norm(model.get_submodule(folded.source))]


def _linears(folded: FoldedLayers, chosen: dict[str, nn.Linear]) -> dict[str, nn.Linear]:
    """Those of the fold that are quantized. The others share its scales, which float weights bear exactly."""
    return {name: chosen[name] for name in folded.linears if name in chosen}


class _Inputs:
    """Rows and extremes of a Linear's inputs; rows of held-back clips are kept apart."""

    def __init__(self, clips: int) -> None:
        self.everything = MinMax()
        self.lowest = self.highest = torch.empty(0)
        self.rows: list[Tensor] = []
        self.held_back: list[Tensor] = []
        self._clips = clips
        self._count = 0

    def add(self, values: Tensor) -> None:
        """Take in the next clip, (1, T, in)."""
        self.everything.observe(values)
        rows = values.flatten(0, -2)
        count = min(len(rows), max(1, _ROWS // self._clips))
        sample = rows[torch.linspace(0, len(rows) - 1, count).round().long()]
        hold_back = self._count % _HELD_BACK == _HELD_BACK - 1
        # Too few clips to hold one back are compared on themselves.
        if hold_back or self._clips < _HELD_BACK:
            self.held_back.append(sample)
        if not hold_back:
            self.rows.append(sample)
            low, high = torch.aminmax(rows, dim=0)
            self.lowest = torch.minimum(low, self.lowest) if self._count else low
            self.highest = torch.maximum(high, self.highest) if self._count else high
        self._count += 1

    def range(self, scales: Tensor, quantization: Quantization) -> Range:
        """The range of the inputs divided by ``scales`` (in,), by the observer of ``quantization.ranges``."""
        observer = static.make_observer(quantization.ranges)
        observer.observe(torch.cat(self.rows) / scales)
        if isinstance(observer, MinMax):  # of all rows, not only of those kept
            observer.observe(torch.stack((self.lowest, self.highest)) / scales)
        return static.range_of(observer, quantization.ranges)


def _observe(model: CTCModel, linears: list[tuple[str, nn.Linear]], calibration: CalibrationSet) -> dict[str, _Inputs]:
    inputs = {name: _Inputs(calibration.clips) for name, _ in linears}
    static.stream(model, linears, calibration, lambda name, values, _: inputs[name].add(values))
    static.check_finite(calibration, {name: one.everything.range() for name, one in inputs.items()})
    return inputs


def _scales(linears: list[nn.Linear], inputs: _Inputs, strength: float) -> Tensor:
    """The s_j (in,) that all ``linears`` share; a lower bound keeps silent channels from dividing by zero."""
    activations = torch.maximum(inputs.lowest.abs(), inputs.highest.abs()).clamp_min(_SMALLEST)
    largest = torch.stack([linear.weight.detach().abs().amax(dim=0) for linear in linears]).amax(dim=0)
    return activations**strength / largest.clamp_min(_SMALLEST) ** (1.0 - strength)


def _best_strength(linears: list[nn.Linear], inputs: _Inputs, quantization: Quantization) -> float | None:
    """The strength with the least squared error of the quantized layers' outputs on the held-back rows, or None."""
    rows = torch.cat(inputs.held_back)
    expected = [linear(rows) for linear in linears]

    def error(strength: float | None) -> float:
        scales = torch.ones(rows.shape[1]) if strength is None else _scales(linears, inputs, strength)
        limits = inputs.range(scales, quantization)
        total = 0.0
        for linear, output in zip(linears, expected, strict=True):
            quantized = static.rounded_linear(smoothed(linear, scales), limits, None, quantization)
            total += float((quantized(rows / scales) - output).square().sum())
        return total

    return min((None, *STRENGTHS), key=error)
