"""Weight-only INT8 by rounding to nearest: a quarter of the size, the computation stays in float. Needs no data."""

from __future__ import annotations

from ..models import DeployableCTC
from .linear import WeightOnlyLinear
from .technique import CalibrationSet, Options, quantizable, replace


def rtn(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a WeightOnlyLinear."""
    for name, linear in quantizable(model, options.exclude):
        replace(model, name, WeightOnlyLinear(linear))
    return model
