"""Weight-only by rounding to nearest: the size goes down, the computation stays in float. Needs no data."""

from __future__ import annotations

from ...models import DeployableCTC
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..layers.quantized import WeightOnlyLinear
from ..technique import CalibrationSet, Options, check_groups, quantizable, replace


def rtn(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a WeightOnlyLinear, or by a GroupedLinear where the scheme has groups.

    Each grid spans the whole range of its weights. Raises QuantizationError where groups do not divide.
    """
    return _by(grid.by_range, model, options)


def mse(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """The same with grids that cut ranges off where that makes the squared error of the weights least."""
    return _by(grid.by_error, model, options)


def _by(choose: grid.Choose, model: DeployableCTC, options: Options) -> DeployableCTC:
    linears = quantizable(model, options.exclude)
    check_groups(linears, options.scheme)
    for name, linear in linears:
        scheme, weight = options.weight(name), linear.weight.detach()
        if scheme.group_size is None:
            replace(model, name, WeightOnlyLinear(linear))
        else:
            chosen = choose(weight, scheme)
            codes = chosen.codes(weight, scheme.bits)
            replace(model, name, GroupedLinear(codes, chosen.scale, chosen.zero_point, linear.bias, scheme))
    return model
