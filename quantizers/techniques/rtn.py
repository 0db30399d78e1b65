"""Weight-only by rounding to nearest: weights get smaller, the computation stays in float. Needs no data."""

from __future__ import annotations

from ...models import CTCModel
from ..calibration import Work
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..layers.quantized import WeightOnlyLinear
from ..layers.rewrite import check_groups, quantizable, replace
from ..options import Quantization


def apply(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Replace every chosen Linear by a WeightOnlyLinear, or by a GroupedLinear where the scheme has groups.

    Each grid spans the whole range of its weights. Raises QuantizationError where groups do not divide.
    """
    _round(grid.by_range, model, quantization)


def apply_mse(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Like ``apply``, with ranges cut off where that makes the squared error of the weights least."""
    _round(grid.by_error, model, quantization)


def _round(choose: grid.Choose, model: CTCModel, quantization: Quantization) -> None:
    linears = quantizable(model, quantization.exclude)
    check_groups(linears, quantization.weight)
    for name, linear in linears:
        scheme, weight = quantization.weight_of(name), linear.weight.detach()
        if scheme.group_size is None:
            replace(model, name, WeightOnlyLinear(linear))
        else:
            chosen = choose(weight, scheme)
            codes = chosen.codes(weight, scheme.bits)
            replace(model, name, GroupedLinear(codes, chosen.scale, chosen.zero_point, linear.bias, scheme))
