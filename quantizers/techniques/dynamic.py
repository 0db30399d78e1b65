"""Dynamic INT8: weights rounded once, each input rounded by its own range as it comes. Needs no data."""

from __future__ import annotations

from ...models import DeployableCTC
from ..layers.quantized import DynamicLinear
from ..technique import CalibrationSet, Options, quantizable, replace


def dynamic(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a DynamicLinear."""
    for name, linear in quantizable(model, options.exclude):
        replace(model, name, DynamicLinear(linear))
    return model
