"""Static INT8: weights rounded once, inputs rounded by ranges that calibration on real audio has fixed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..models import DeployableCTC
from .linear import Range, StaticLinear
from .observers import MinMax, Observer, Percentile
from .technique import CalibrationSet, Options, QuantizationError, quantizable, replace

OBSERVERS = ("minmax", "percentile")


def static(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a StaticLinear with the range that its input had on the calibration set."""
    if calibration is None:
        raise QuantizationError("static quantization needs calibration audio; name it with --calibration")
    linears = quantizable(model, options.exclude)
    ranges = observe(model, linears, options, calibration)
    for name, linear in linears:
        replace(model, name, StaticLinear(linear, ranges[name, "input"], ranges.get((name, "output"))))
    return model


def observe(
    model: DeployableCTC, linears: list[tuple[str, nn.Linear]], options: Options, calibration: CalibrationSet
) -> dict[tuple[str, str], Range]:
    """Run the calibration set through the float model, one clip at a time.

    Returns the ranges of each layer's (name, "input"), and of (name, "output") where ``options.outputs`` asks for it.
    """
    sides = ("input", "output") if options.outputs else ("input",)
    observers = {(name, side): _observer(options) for name, _ in linears for side in sides}

    def watch(name: str) -> Any:
        def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            observers[name, "input"].observe(inputs[0].detach())
            if options.outputs:
                observers[name, "output"].observe(output.detach())

        return look

    hooks = [linear.register_forward_hook(watch(name)) for name, linear in linears]
    try:
        with torch.inference_mode():
            for features in calibration.features():
                model(features, torch.tensor([features.shape[1]]))
    finally:
        for hook in hooks:
            hook.remove()
    ranges = {place: observer.range() for place, observer in observers.items()}
    broken = [name for (name, _), (low, high) in ranges.items() if not (math.isfinite(low) and math.isfinite(high))]
    if broken:
        raise QuantizationError(
            f"calibration on {calibration.name} gave no finite range for {broken[0]}"
            + (f" and {len(broken) - 1} more layers" if len(broken) > 1 else "")
            + "; check the calibration audio and the checkpoint"
        )
    return ranges


def _observer(options: Options) -> Observer:
    if options.observer == "minmax":
        return MinMax()
    if options.observer == "percentile":
        return Percentile(options.percentile)
    raise QuantizationError(f"no observer {options.observer!r}; there are {', '.join(OBSERVERS)}")
