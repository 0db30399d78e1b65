"""Static INT8: weights are rounded once, inputs by ranges that calibration on real audio has fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ..calibration import CalibrationSet, Work
from ..errors import QuantizationError
from ..layers.operators import symmetric_range
from ..layers.quantized import Fp8Linear, Range, StaticLinear
from ..layers.rewrite import quantizable, replace
from ..options import OBSERVERS, Quantization, Ranges
from .observers import MSE, MinMax, Observer, Percentile


def apply(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Replace every chosen Linear by a StaticLinear with the range that its input has on the calibration set."""
    calibration = work.need_calibration("static quantization")
    linears = quantizable(model, quantization.exclude)
    ranges = _observe(model, linears, quantization, calibration)
    for name, linear in linears:
        output = ranges.get((name, "output"))
        replace(model, name, rounded_linear(linear, ranges[name, "input"], output, quantization))


def rounded_linear(
    linear: nn.Linear, input: Range, output: Range | None, quantization: Quantization
) -> StaticLinear | Fp8Linear:
    """The layer with fixed ranges, in the values of ``quantization.weight``."""
    return Fp8Linear(linear, input) if quantization.weight.values == "e4m3" else StaticLinear(linear, input, output)


def _observe(
    model: CTCModel, linears: list[tuple[str, nn.Linear]], quantization: Quantization, calibration: CalibrationSet
) -> dict[tuple[str, str], Range]:
    """Ranges of each layer's (name, "input"), and of (name, "output") with ``quantization.outputs``."""
    sides = ("input", "output") if quantization.outputs else ("input",)
    observers = {(name, side): make_observer(quantization.ranges) for name, _ in linears for side in sides}

    def observe(name: str, input: Tensor, output: Tensor) -> None:
        observers[name, "input"].observe(input)
        if quantization.outputs:
            observers[name, "output"].observe(output)

    stream(model, linears, calibration, observe)
    ranges = {key: range_of(observer, quantization.ranges) for key, observer in observers.items()}
    check_finite(calibration, {name: limits for (name, _), limits in ranges.items()})
    return ranges


def stream(
    model: CTCModel,
    linears: Sequence[tuple[str, nn.Module]],
    calibration: CalibrationSet,
    observe: Callable[[str, Tensor, Tensor], None],
) -> None:
    """Run the calibration set through the float model, one clip at a time, and call ``observe`` for each layer.

    Its arguments are the layer's name, its input (1, T, in) and its output (1, T, out), once per clip.
    """

    def hook(name: str) -> Any:
        return lambda module, inputs, output: observe(name, inputs[0], output)

    hooks = [linear.register_forward_hook(hook(name)) for name, linear in linears]
    try:
        with torch.inference_mode():
            for inputs in calibration.inputs():
                model(*inputs)
    finally:
        for one in hooks:
            one.remove()


def check_finite(calibration: CalibrationSet, ranges: Mapping[str, Range]) -> None:
    """Raise QuantizationError for layers without a finite range."""
    broken = [name for name, (low, high) in ranges.items() if not (math.isfinite(low) and math.isfinite(high))]
    if broken:
        raise QuantizationError(
            f"calibration on {calibration.name} gave no finite range for {broken[0]}"
            + (f" and {len(broken) - 1} more layers" if len(broken) > 1 else "")
            + "; check the calibration audio and the checkpoint"
        )


def range_of(observer: Observer, ranges: Ranges) -> Range:
    """The observed range; with ``ranges.symmetric``, widened until uint8's zero point is 128.

    The same integers less 128 are then int8 with a zero point of 0, of which −128 to 127 are used.
    """
    limits = observer.range()
    return symmetric_range(*limits) if ranges.symmetric else limits


def make_observer(ranges: Ranges) -> Observer:
    """A new observer of the kind ``ranges.observer``. Raises QuantizationError for an unknown one."""
    if ranges.observer == "minmax":
        return MinMax()
    if ranges.observer == "percentile":
        return Percentile(ranges.percentile)
    if ranges.observer == "mse":
        return MSE()
    raise QuantizationError(f"no observer {ranges.observer!r}; there are {', '.join(OBSERVERS)}")
