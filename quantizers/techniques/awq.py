"""AWQ: channels with large activations get larger weights before rounding, and are divided where they come from.

Lin et al. 2023, arXiv:2306.00978. Dividing channel j of a layer's input by s_j and multiplying column j of its weights
by it changes nothing in float, but puts the weights that matter on a finer grid. s_j = mean|x_j|^a, with the strength
a searched for each fold on calibration rows; the division goes into the norm or the Linear in front. Nothing can be
folded through an activation function. Then the range of every group is cut where that makes the error of the outputs
least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ...models.architecture import FoldedLayers
from ..calibration import Work
from ..errors import QuantizationError
from ..layers import grid
from ..layers.fold import fold, is_norm, smoothed
from ..layers.grouped import GroupedLinear
from ..layers.rewrite import check_groups, linear_called, quantizable, replace
from ..options import Quantization
from ..scheme import WeightScheme
from .static import check_finite, stream

STRENGTHS = tuple(step / 20 for step in range(1, 21))
"""Strengths that are tried, beside no scaling at all."""

# Rows of a layer's input that are kept, over all clips: 4 MB per layer of the full-size model.
_ROWS = 1024
_SMALLEST = 1e-4


@dataclass(frozen=True)
class Notes:
    """For the manifest."""

    strengths: dict[str, float]
    """By the name of the scaled Linear."""


class _Inputs:
    """Rows (n, in) of a layer's inputs, evenly spread over the clips, and the mean magnitude of each channel."""

    def __init__(self, clips: int) -> None:
        self._share = max(1, _ROWS // clips)
        self._rows: list[Tensor] = []
        self._sum: Tensor | float = 0.0
        self._frames = 0

    def add(self, values: Tensor) -> None:
        """Take in the next clip, (1, T, in)."""
        rows = values.flatten(0, -2)
        chosen = torch.linspace(0, len(rows) - 1, min(len(rows), self._share)).round().long()
        self._rows.append(rows[chosen])
        self._sum = self._sum + rows.abs().sum(dim=0)
        self._frames += len(rows)

    @property
    def rows(self) -> Tensor:
        return torch.cat(self._rows)

    @property
    def magnitude(self) -> Tensor:
        """Mean magnitude of each channel (in,)."""
        assert isinstance(self._sum, Tensor)
        return (self._sum / self._frames).clamp_min(_SMALLEST)


def apply(model: CTCModel, quantization: Quantization, work: Work) -> Notes:
    """Scale, fold and replace every chosen Linear by a GroupedLinear.

    QuantizationError where scaling would change no layer.
    """
    calibration = work.need_calibration("AWQ")
    linears = quantizable(model, quantization.exclude)
    check_groups(linears, quantization.weight)
    inputs = {name: _Inputs(calibration.clips) for name, _ in linears}
    stream(model, linears, calibration, lambda name, values, _: inputs[name].add(values))
    check_finite(calibration, {name: (0.0, float(one.magnitude.max())) for name, one in inputs.items()})
    strengths, scales = _fold_all(model, inputs, quantization)
    if not strengths:
        raise QuantizationError("scaling would change the weights of no layer; use --method mse")
    for name, _ in linears:
        scheme, linear, rows = quantization.weight_of(name), linear_called(model, name), inputs.pop(name).rows
        if name in scales:
            rows = rows / scales[name]
        chosen = grid.by_error(linear.weight, scheme, grid.grams(rows, scheme.group_size or linear.in_features))
        codes = chosen.codes(linear.weight, scheme.bits)
        replace(model, name, GroupedLinear(codes, chosen.scale, chosen.zero_point, linear.bias, scheme))
    return Notes(dict(sorted(strengths.items())))


def _fold_all(
    model: CTCModel, inputs: Mapping[str, _Inputs], quantization: Quantization
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Scale the Linears behind every fold. Returns strengths and scales (in,) by the Linears' names."""
    strengths: dict[str, float] = {}
    scales: dict[str, Tensor] = {}

    def source_is_norm(folded: FoldedLayers) -> bool:
        return is_norm(model.get_submodule(folded.source))

    # Folds into a Linear first: they change its rows, from which its own scales are chosen.
    for folded in sorted(model.find_folds(), key=source_is_norm):
        names = [name for name in folded.linears if name in inputs]
        if not names:
            continue
        layers = {name: (linear_called(model, name), quantization.weight_of(name)) for name in names}
        strength, chosen = _best(list(layers.values()), inputs[names[0]])
        if fold(model, folded, chosen):
            strengths |= dict.fromkeys(names, strength)
            scales |= dict.fromkeys(names, chosen)
    return strengths, scales


def _best(layers: list[tuple[nn.Linear, WeightScheme]], inputs: _Inputs) -> tuple[float, Tensor]:
    """The strength and scales (in,) with the least squared error of the rounded layers' outputs."""
    rows = inputs.rows
    expected = [rows @ linear.weight.t() for linear, _ in layers]

    def error(scales: Tensor) -> float:
        total = 0.0
        for (linear, scheme), output in zip(layers, expected, strict=True):
            weight = smoothed(linear, scales).weight
            values = grid.by_range(weight, scheme).values(weight, scheme.bits)
            total += float(((rows / scales) @ values.t() - output).square().sum())
        return total

    candidates = {0.0: torch.ones(rows.shape[1])}
    for strength in STRENGTHS:
        scales = inputs.magnitude**strength
        candidates[strength] = scales / (scales.max() * scales.min()).sqrt()
    strength = min(candidates, key=lambda strength: error(candidates[strength]))
    return strength, candidates[strength]
