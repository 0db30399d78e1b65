"""SmoothQuant: spread that is hard to round moves from the activations into the weights, then static INT8.

Xiao et al. 2022, arXiv:2211.10438. Where a LayerNorm feeds one Linear alone, each of its channels j may be divided by
s_j and the Linear's column j multiplied by it: in float nothing changes. With s_j = max|X_j|^a / max|W_j|^(1-a), the
strength a says how much of the spread between channels goes into the weights, whose one scale per output channel bears
it better than the one scale of all activations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...models import DeployableCTC
from ...models.wav2vec2_bert.model import ConformerLayer
from ..layers.quantized import Range
from ..technique import CalibrationSet, Options, QuantizationError, quantizable, replace
from .observers import MinMax
from .static import check_finite, make_observer, range_of, rounded_linear, static, stream

STRENGTHS = tuple(step / 10 for step in range(11))
"""What is tried beside no smoothing at all."""

_PAIRS = {
    "ffn1_norm": "ffn1.intermediate",
    "attention_norm": "attention.qkv",
    "convolution.norm": "convolution.pointwise1",
    "ffn2_norm": "ffn2.intermediate",
}
"""Within a conformer layer: each LayerNorm whose output goes to one Linear and nowhere else, and that Linear."""

# Rows of a layer's input that are kept, over all clips: 4 MB a layer of the full-size model.
_ROWS = 1024
# Of every so many clips one is held back: it says how well a strength does, not what the scales are.
_HELD_BACK = 4
_SMALLEST = 1e-5


def smoothquant(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Fold the smoothing into LayerNorms and Linears, and quantize as ``static`` does.

    Without ``options.strength`` each layer gets the strength whose quantized output is nearest to the float one on
    calibration clips held back, or none. They are left in ``model.notes["strengths"]`` by the Linear's name.
    """
    if calibration is None:
        raise QuantizationError("smoothquant needs calibration audio; name it with --calibration")
    if options.strength is not None and not 0.0 <= options.strength <= 1.0:
        raise QuantizationError(f"the strength of smoothing must lie between 0 and 1, not {options.strength:g}")
    norms = norm_of_linear(model)
    linears = [(name, linear) for name, linear in quantizable(model, options.exclude) if name in norms]
    seen = _watch(model, linears, calibration)
    strengths: dict[str, float] = {}
    for name, linear in linears:
        strength = _best_strength(linear, seen[name], options) if options.strength is None else options.strength
        if strength is not None and fold(model, norms[name], name, _scales(linear, seen[name], strength)):
            strengths[name] = strength
    if not strengths:
        raise QuantizationError("smoothing would change the scales of no layer; use --method static")
    model.notes["strengths"] = strengths
    return static(model, options, calibration)


def norm_of_linear(model: nn.Module) -> dict[str, str]:
    """Names of the Linears (quantized or not) that a LayerNorm feeds, and only them, to that LayerNorm's name."""
    layers = [name for name, module in model.named_modules() if isinstance(module, ConformerLayer)]
    return {f"{layer}.{linear}": f"{layer}.{norm}" for layer in layers for norm, linear in _PAIRS.items()}


def fold(model: nn.Module, norm_name: str, linear_name: str, scales: Tensor) -> bool:
    """Divide what the LayerNorm gives by ``scales`` (in,) and multiply the Linear's weights: the same function.

    Returns False, and leaves all as it is, where the scales are all the same: no integer would change.
    """
    if float(scales.min()) == float(scales.max()):
        return False
    norm = model.get_submodule(norm_name)
    assert isinstance(norm, nn.LayerNorm)
    norm.weight = nn.Parameter(norm.weight.detach() / scales, requires_grad=False)
    norm.bias = nn.Parameter(norm.bias.detach() / scales, requires_grad=False)
    linear = model.get_submodule(linear_name)
    assert isinstance(linear, nn.Linear)
    replace(model, linear_name, smoothed(linear, scales))
    return True


class _Inputs:
    """What is kept of a Linear's inputs: extremes, also by channel, and rows; those of clips held back apart."""

    def __init__(self, clips: int) -> None:
        self.everything = MinMax()
        self.lowest = self.highest = torch.empty(0)
        self.rows: list[Tensor] = []
        self.held_back: list[Tensor] = []
        self._clips = clips
        self._seen = 0

    def take(self, values: Tensor) -> None:
        """Take in the next clip, (1, T, in)."""
        self.everything.observe(values)
        rows = values.flatten(0, -2)
        count = min(len(rows), max(1, _ROWS // self._clips))
        sample = rows[torch.linspace(0, len(rows) - 1, count).round().long()]
        hold_back = self._seen % _HELD_BACK == _HELD_BACK - 1
        # With too few clips to hold one back, they judge themselves.
        if hold_back or self._clips < _HELD_BACK:
            self.held_back.append(sample)
        if not hold_back:
            self.rows.append(sample)
            low, high = torch.aminmax(rows, dim=0)
            self.lowest = torch.minimum(low, self.lowest) if self._seen else low
            self.highest = torch.maximum(high, self.highest) if self._seen else high
        self._seen += 1

    def range(self, scales: Tensor, options: Options) -> Range:
        """The range of the inputs divided by ``scales`` (in,), as the observer of ``options`` sees it."""
        observer = make_observer(options)
        observer.observe(torch.cat(self.rows) / scales)
        if isinstance(observer, MinMax):  # not only of the rows kept
            observer.observe(torch.stack((self.lowest, self.highest)) / scales)
        return range_of(observer, options)


def _watch(
    model: DeployableCTC, linears: list[tuple[str, nn.Linear]], calibration: CalibrationSet
) -> dict[str, _Inputs]:
    seen = {name: _Inputs(calibration.clips) for name, _ in linears}
    stream(model, linears, calibration, lambda name, values, _: seen[name].take(values))
    check_finite(calibration, {name: inputs.everything.range() for name, inputs in seen.items()})
    return seen


def _scales(linear: nn.Linear, inputs: _Inputs, strength: float) -> Tensor:
    """The s_j (in,); channels that carry nothing are kept from dividing by zero, as in the authors' code."""
    activations = torch.maximum(inputs.lowest.abs(), inputs.highest.abs()).clamp_min(_SMALLEST)
    weights = linear.weight.detach().abs().amax(dim=0).clamp_min(_SMALLEST)
    return activations**strength / weights ** (1.0 - strength)


def smoothed(linear: nn.Linear, scales: Tensor) -> nn.Linear:
    """``linear`` for inputs that were divided by ``scales`` (in,)."""
    smoothed = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
    smoothed.weight = nn.Parameter(linear.weight.detach() * scales, requires_grad=False)
    smoothed.bias = linear.bias
    return smoothed


def _best_strength(linear: nn.Linear, inputs: _Inputs, options: Options) -> float | None:
    """The strength with the least squared error of the quantized layer's output on the rows held back, or None."""
    rows = torch.cat(inputs.held_back)
    expected = linear(rows)

    def error(strength: float | None) -> float:
        scales = torch.ones(linear.in_features) if strength is None else _scales(linear, inputs, strength)
        quantized = rounded_linear(smoothed(linear, scales), inputs.range(scales, options), None, options)
        return float((quantized(rows / scales) - expected).square().sum())

    return min((None, *STRENGTHS), key=error)
