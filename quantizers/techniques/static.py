"""Static INT8: weights rounded once, inputs rounded by ranges that calibration on real audio has fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...models import DeployableCTC
from ..layers.operators import symmetric_range
from ..layers.quantized import Fp8Linear, Range, StaticLinear
from ..technique import CalibrationSet, Options, QuantizationError, quantizable, replace
from .observers import MSE, MinMax, Observer, Percentile

OBSERVERS = ("minmax", "percentile", "mse")


def static(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a StaticLinear with the range that its input had on the calibration set."""
    if calibration is None:
        raise QuantizationError("static quantization needs calibration audio; name it with --calibration")
    linears = quantizable(model, options.exclude)
    ranges = observe(model, linears, options, calibration)
    for name, linear in linears:
        replace(model, name, rounded_linear(linear, ranges[name, "input"], ranges.get((name, "output")), options))
    return model


def rounded_linear(linear: nn.Linear, input: Range, output: Range | None, options: Options) -> StaticLinear | Fp8Linear:
    """The layer with ranges fixed, in the values that ``options.scheme`` names."""
    return Fp8Linear(linear, input) if options.scheme.values == "e4m3" else StaticLinear(linear, input, output)


def observe(
    model: DeployableCTC, linears: list[tuple[str, nn.Linear]], options: Options, calibration: CalibrationSet
) -> dict[tuple[str, str], Range]:
    """Ranges of each layer's (name, "input"), and of (name, "output") where ``options.outputs`` asks for it."""
    sides = ("input", "output") if options.outputs else ("input",)
    observers = {(name, side): make_observer(options) for name, _ in linears for side in sides}

    def look(name: str, input: Tensor, output: Tensor) -> None:
        observers[name, "input"].observe(input)
        if options.outputs:
            observers[name, "output"].observe(output)

    stream(model, linears, calibration, look)
    ranges = {place: range_of(observer, options) for place, observer in observers.items()}
    check_finite(calibration, {name: limits for (name, _), limits in ranges.items()})
    return ranges


def stream(
    model: DeployableCTC,
    linears: Sequence[tuple[str, nn.Module]],
    calibration: CalibrationSet,
    look: Callable[[str, Tensor, Tensor], None],
) -> None:
    """Run the calibration set through the float model, one clip at a time, and show ``look`` each layer's tensors.

    It gets the layer's name, input (1, T, in) and output (1, T, out) once a clip.
    """

    def watch(name: str) -> Any:
        return lambda module, inputs, output: look(name, inputs[0], output)

    hooks = [linear.register_forward_hook(watch(name)) for name, linear in linears]
    try:
        with torch.inference_mode():
            for features in calibration.features():
                model(features, torch.tensor([features.shape[1]]))
    finally:
        for hook in hooks:
            hook.remove()


def check_finite(calibration: CalibrationSet, ranges: Mapping[str, Range]) -> None:
    """Raise QuantizationError for layers that had no finite range."""
    broken = [name for name, (low, high) in ranges.items() if not (math.isfinite(low) and math.isfinite(high))]
    if broken:
        raise QuantizationError(
            f"calibration on {calibration.name} gave no finite range for {broken[0]}"
            + (f" and {len(broken) - 1} more layers" if len(broken) > 1 else "")
            + "; check the calibration audio and the checkpoint"
        )


def range_of(observer: Observer, options: Options) -> Range:
    """What was observed; where ``options.symmetric_inputs`` asks for it, widened until uint8's zero point is 128.

    Then the same integers less 128 are int8 with a zero point of 0, of which −128 to 127 are used.
    """
    limits = observer.range()
    return symmetric_range(*limits) if options.symmetric_inputs else limits


def make_observer(options: Options) -> Observer:
    """A new observer of the kind that ``options`` names; QuantizationError where there is none such."""
    if options.observer == "minmax":
        return MinMax()
    if options.observer == "percentile":
        return Percentile(options.percentile)
    if options.observer == "mse":
        return MSE()
    raise QuantizationError(f"no observer {options.observer!r}; there are {', '.join(OBSERVERS)}")
