"""AWQ: channels that carry much are made larger before their weights are rounded, and smaller where they come from.

Lin et al. 2023, arXiv:2306.00978. Dividing channel j of a layer's input by s_j and multiplying column j of its weights
by it changes nothing in float, but the weights that matter then lie on a finer grid. s_j = mean|x_j|^a, with the
strength a searched for each layer on calibration rows; the division goes into the LayerNorm before, or into the value
rows of the projection before attention's output. What follows an activation function cannot be folded. Then the range
of every group is cut where that makes the error of the outputs least.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...models import DeployableCTC
from ...models.layers.attention import SelfAttention
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..scheme import WeightScheme
from ..technique import CalibrationSet, Options, QuantizationError, check_groups, quantizable, replace
from .smoothquant import fold, norm_of_linear, smoothed
from .static import check_finite, stream

STRENGTHS = tuple(step / 20 for step in range(1, 21))
"""What is tried beside no scaling at all."""

# Rows of a layer's input that are kept, over all clips: 4 MB a layer of the full-size model.
_ROWS = 1024
_SMALLEST = 1e-4
_OUTPUT = "attention.out"


class _Inputs:
    """Rows (n, in) of a layer's inputs, evenly spread over the clips, and the mean size of each channel."""

    def __init__(self, clips: int) -> None:
        self._share = max(1, _ROWS // clips)
        self._rows: list[Tensor] = []
        self._sum: Tensor | float = 0.0
        self._frames = 0

    def take(self, values: Tensor) -> None:
        """Take in the next clip, (1, T, in)."""
        rows = values.flatten(0, -2)
        places = torch.linspace(0, len(rows) - 1, min(len(rows), self._share)).round().long()
        self._rows.append(rows[places])
        self._sum = self._sum + rows.abs().sum(dim=0)
        self._frames += len(rows)

    @property
    def rows(self) -> Tensor:
        return torch.cat(self._rows)

    @property
    def size(self) -> Tensor:
        """Mean magnitude of each channel (in,)."""
        assert isinstance(self._sum, Tensor)
        return (self._sum / self._frames).clamp_min(_SMALLEST)


def awq(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Scale, fold and replace every chosen Linear by a GroupedLinear.

    The strengths are left in ``model.notes["strengths"]`` by the Linear's name. QuantizationError where scaling would
    serve no layer.
    """
    if calibration is None:
        raise QuantizationError("AWQ needs calibration audio; name it with --calibration")
    linears = quantizable(model, options.exclude)
    check_groups(linears, options.scheme)
    seen = {name: _Inputs(calibration.clips) for name, _ in linears}
    stream(model, linears, calibration, lambda name, values, _: seen[name].take(values))
    check_finite(calibration, {name: (0.0, float(inputs.size.max())) for name, inputs in seen.items()})
    norms = norm_of_linear(model)
    strengths: dict[str, float] = {}
    # Attention's output first: its scaling changes rows of the projection before it, which must still be in float.
    for name, _ in sorted(linears, key=lambda item: not item[0].endswith(_OUTPUT)):
        inputs, scheme = seen.pop(name), options.weight(name)
        rows = inputs.rows
        if name in norms or name.endswith(_OUTPUT):
            strength, scales = _best(_linear(model, name), inputs, scheme)
            if fold(model, norms[name], name, scales) if name in norms else fold_values(model, name, scales):
                strengths[name] = strength
                rows = rows / scales
        linear = _linear(model, name)
        chosen = grid.by_error(linear.weight, scheme, grid.grams(rows, scheme.group_size or linear.in_features))
        codes = chosen.codes(linear.weight, scheme.bits)
        replace(model, name, GroupedLinear(codes, chosen.scale, chosen.zero_point, linear.bias, scheme))
    if not strengths:
        raise QuantizationError("scaling would change the weights of no layer; use --method mse")
    model.notes["strengths"] = dict(sorted(strengths.items()))
    return model


def fold_values(model: nn.Module, name: str, scales: Tensor) -> bool:
    """Divide the values that attention mixes by ``scales`` (H,) and multiply its output's weights: the same function.

    ``name`` is that of the output Linear. Returns False, and leaves all as it is, where the scales are all the same.
    """
    if float(scales.min()) == float(scales.max()):
        return False
    attention = model.get_submodule(name.rpartition(".")[0])
    assert isinstance(attention, SelfAttention)
    width = attention.out.in_features
    divisors = torch.cat((torch.ones(2 * width), scales))
    qkv = nn.Linear(width, 3 * width, device="meta")
    qkv.weight = nn.Parameter(attention.qkv.weight.detach() / divisors[:, None], requires_grad=False)
    qkv.bias = nn.Parameter(attention.qkv.bias.detach() / divisors, requires_grad=False)
    attention.qkv, attention.out = qkv, smoothed(attention.out, scales)
    return True


def _linear(model: nn.Module, name: str) -> nn.Linear:
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def _best(linear: nn.Linear, inputs: _Inputs, scheme: WeightScheme) -> tuple[float, Tensor]:
    """The strength and scales (in,) with the least squared error of the rounded layer's output."""
    rows = inputs.rows
    expected = rows @ linear.weight.t()

    def error(scales: Tensor) -> float:
        weight = smoothed(linear, scales).weight
        values = grid.by_range(weight, scheme).values(weight, scheme.bits)
        return float(((rows / scales) @ values.t() - expected).square().sum())

    candidates = {0.0: torch.ones(linear.in_features)}
    for strength in STRENGTHS:
        scales = inputs.size**strength
        candidates[strength] = scales / (scales.max() * scales.min()).sqrt()
    strength = min(candidates, key=lambda strength: error(candidates[strength]))
    return strength, candidates[strength]
