"""HQQ: zero points between the codes, where most weights of a group are rounded least. Needs no data.

Badri & Shaji 2023, https://mobiusml.github.io/hqq_blog: the sum of |error|^p with p < 1 forgives a few large errors and
presses all the others. It is split in two (half-quadratic): errors that may stay are what a generalized shrinkage
leaves of them, and the zero point is the mean of what explains the rest; both in turns, while the errors are tied to
their copies ever more. Errors are in steps of the grid here, so that the constants serve weights of any size.
"""

from __future__ import annotations

from dataclasses import replace as replace_fields

import torch
from torch import Tensor

from ...models import DeployableCTC
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..scheme import WeightScheme
from ..technique import CalibrationSet, Options, QuantizationError, check_groups, quantizable, replace

# The authors' constants.
_NORM = 0.7
_TIE = 10.0
_TIGHTER = 1.01
_TURNS = 20
_SMALLEST_ERROR = 1e-6


def hqq(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a GroupedLinear whose zero points are floats.

    QuantizationError where groups do not divide, or where the scheme has no zero points.
    """
    linears = quantizable(model, options.exclude)
    check_groups(linears, options.scheme)
    check_zero_points(options)
    model.notes["zero_points"] = "float16"
    for name, linear in linears:
        scheme = replace_fields(options.weight(name), float_zero_points=True)
        codes, scale, zero_point = hqq_codes(linear.weight.detach(), scheme)
        replace(model, name, GroupedLinear(codes, scale, zero_point, linear.bias, scheme))
    return model


def check_zero_points(options: Options) -> None:
    """Raise QuantizationError for a scheme that has none."""
    if options.scheme.symmetric or options.scheme.group_size is None:
        raise QuantizationError("hqq chooses zero points, which symmetric schemes do not have; use --method mse")


def hqq_codes(weight: Tensor, scheme: WeightScheme) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (out, in) uint8, scales and zero points (out, groups) float32, of values that fp16 holds.

    The scale is that of the group's range; of all zero points on the way, each group keeps the one that errs least.
    """
    top = 2**scheme.bits - 1
    scale = grid.by_range(weight, scheme).scale
    steps = weight.float().view(*scale.shape, -1) / scale[..., None]
    # Begun at a whole number it would end nearer to one, and the bundled model err more (0.146, 0.136 at 2 bits).
    best = zero_point = -steps.amin(-1, keepdim=True).clamp_max(0.0)
    least = torch.full_like(best, torch.inf)
    tie = _TIE
    for _ in range(_TURNS):
        codes = torch.round(steps + zero_point).clamp_(0, top)
        error = steps - (codes - zero_point)
        sum_ = error.abs().pow(_NORM).sum(-1, keepdim=True)
        better = sum_ < least
        best, least = torch.where(better, zero_point, best), torch.where(better, sum_, least)
        zero_point = (codes - steps + _shrunk(error, tie)).mean(-1, keepdim=True)
        tie *= _TIGHTER
    best = best.half().float()
    codes = torch.round(steps + best).clamp_(0, top).to(torch.uint8)
    return codes.view(weight.shape), scale, best.squeeze(-1)


def _shrunk(error: Tensor, tie: float) -> Tensor:
    """What of the errors may stay: the generalized soft threshold of |·|^p."""
    size = error.abs()
    return error.sign() * torch.relu(size - size.clamp_min(_SMALLEST_ERROR).pow(_NORM - 1.0) / tie)
