"""HQQ: float zero points that minimize the sum of |error|^p of a group's weights. Needs no data.

Badri & Shaji 2023, https://mobiusml.github.io/hqq_blog. With p < 1 the sum tolerates a few large errors and reduces all
others. It is minimized by half-quadratic splitting, alternating two steps: a generalized shrinkage of the errors, and a
zero point that is the mean of the remainder; the coupling of the two grows in each turn. Errors are measured in steps
of the grid, so that the constants serve weights of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as replace_fields

import torch
from torch import Tensor

from ...models import CTCModel
from ..calibration import CalibrationSet, Work
from ..errors import QuantizationError
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..layers.rewrite import check_groups, quantizable, replace
from ..options import Quantization
from ..scheme import WeightScheme

# The authors' constants.
_NORM = 0.7
_TIE = 10.0
_TIGHTER = 1.01
_TURNS = 20
_SMALLEST_ERROR = 1e-6


@dataclass(frozen=True)
class Notes:
    """For the manifest."""

    zero_points: str = "float16"


def apply(model: CTCModel, quantization: Quantization, work: Work) -> Notes:
    """Replace every chosen Linear by a GroupedLinear whose zero points are floats.

    QuantizationError where groups do not divide, or where the scheme has no zero points.
    """
    linears = quantizable(model, quantization.exclude)
    check_groups(linears, quantization.weight)
    check(model, quantization, work.calibration)
    for name, linear in linears:
        scheme = replace_fields(quantization.weight_of(name), float_zero_points=True)
        codes, scale, zero_point = hqq_codes(linear.weight.detach(), scheme)
        replace(model, name, GroupedLinear(codes, scale, zero_point, linear.bias, scheme))
    return Notes()


def check(model: CTCModel, quantization: Quantization, calibration: CalibrationSet | None) -> None:
    """Raise QuantizationError for a scheme without zero points."""
    if quantization.weight.symmetric or quantization.weight.group_size is None:
        raise QuantizationError("hqq chooses zero points, which symmetric schemes do not have; use --method mse")


def hqq_codes(weight: Tensor, scheme: WeightScheme) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (out, in) uint8, scales and zero points (out, groups) float32, of values that fp16 represents exactly.

    The scale is that of the group's range. Each group keeps the zero point with the least error of all turns.
    """
    top = 2**scheme.bits - 1
    scale = grid.by_range(weight, scheme).scale
    steps = weight.float().view(*scale.shape, -1) / scale[..., None]
    # Starting at a whole number would end nearer to one: error of the bundled model at 2 bits 0.146, against 0.136.
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
    """The generalized soft threshold of |·|^p, applied to the errors."""
    size = error.abs()
    return error.sign() * torch.relu(size - size.clamp_min(_SMALLEST_ERROR).pow(_NORM - 1.0) / tie)
