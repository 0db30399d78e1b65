"""GPTQ: each layer's weights are rounded input by input, and the weights not yet rounded compensate the error.

Frantar et al. 2022, arXiv:2210.17323. With the inputs X of a layer on calibration audio and H = XᵀX, rounding weight i
of a row to q errs by (w_i − q) / U_ii, where UᵀU = H⁻¹ (Cholesky); adding −error · U_i,i+1… to the weights that
follow keeps the layer's output nearest. Layers see the outputs of their quantized predecessors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ...models.stages import linear_stages
from ..calibration import CalibrationSet, Work
from ..errors import QuantizationError, TooFewFramesError
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..layers.rewrite import check_groups, quantizable, replace
from ..options import Quantization
from ..scheme import WeightScheme
from .journal import Journal
from .sequential import Sequence

ALGORITHM_VERSION = 1
"""To be raised with every change that leads to other codes, so that no journal returns the old ones."""

# Columns after which the weights that follow are updated in one product, as in the authors' code.
_BLOCK = 128


@dataclass(frozen=True)
class Notes:
    """For the manifest."""

    damping: float
    activation_order: bool


class Hessian:
    """XᵀX (in, in) of a layer's inputs, over all frames added."""

    def __init__(self, inputs: int) -> None:
        self.matrix = torch.zeros(inputs, inputs)
        self.frames = 0

    def add(self, rows: Tensor) -> None:
        """Add ``rows`` (frames, in)."""
        self.matrix.addmm_(rows.t(), rows)
        self.frames += rows.shape[0]


def apply(model: CTCModel, quantization: Quantization, work: Work) -> Notes:
    """Replace every chosen Linear by a GroupedLinear. QuantizationError for too little audio."""
    calibration = work.need_calibration("GPTQ")
    linears = dict(quantizable(model, quantization.exclude))
    check_groups(linears.items(), quantization.weight)
    _check_frames(model, linears, calibration)
    journal = Journal(work.journal, (identity(quantization), calibration.identity()))
    sequence = Sequence(model, calibration)
    for stage, names in sequence.walk(linears, work.track):
        if not names or journal.restore(model, stage, names):
            continue
        for name in names:
            hessian = Hessian(linears[name].in_features)
            sequence.observe(stage, name, hessian.add)
            replace(model, name, _quantized(name, linears[name], hessian, quantization))
        journal.store(model, names)
    return Notes(quantization.gptq.damping, quantization.gptq.activation_order)


def identity(quantization: Quantization) -> str:
    """All that decides the codes beside the model and the calibration set."""
    bits = sorted(quantization.bits_by_layer.items())
    return f"gptq {ALGORITHM_VERSION} {quantization.weight!r} {bits} {quantization.exclude} {quantization.gptq!r}"


def check(model: CTCModel, quantization: Quantization, calibration: CalibrationSet | None) -> None:
    """Raise TooFewFramesError for too little audio."""
    if calibration is not None:
        _check_frames(model, dict(quantizable(model, quantization.exclude)), calibration)


def _check_frames(model: CTCModel, linears: Mapping[str, nn.Linear], calibration: CalibrationSet) -> None:
    """Raise TooFewFramesError where a layer has more inputs than frames: its Hessian would be singular."""
    stages = linear_stages(model)
    name = max(linears, key=lambda name: linears[name].in_features / stages[name].rows_per_second)
    inputs, rate = linears[name].in_features, stages[name].rows_per_second
    frames = calibration.seconds * rate
    if frames < inputs:
        raise TooFewFramesError(
            f"calibration on {calibration.name} has {frames:.0f} frames, too few for the Hessian of {name}, which has "
            f"{inputs} inputs; give at least {inputs / rate:.0f} s of audio"
        )


def _quantized(name: str, linear: nn.Linear, hessian: Hessian, quantization: Quantization) -> GroupedLinear:
    scheme, options = quantization.weight_of(name), quantization.gptq
    if not torch.isfinite(hessian.matrix).all():
        raise QuantizationError(f"the inputs of {name} are not finite; check the calibration audio and the checkpoint")
    codes, values = gptq_codes(
        linear.weight.detach(),
        hessian.matrix,
        scheme,
        damping=options.damping,
        activation_order=options.activation_order,
    )
    return GroupedLinear(codes, values.scale, values.zero_point, linear.bias, scheme)


def gptq_codes(
    weight: Tensor, hessian: Tensor, scheme: WeightScheme, *, damping: float = 0.01, activation_order: bool = True
) -> tuple[Tensor, grid.Grid]:
    """Codes (out, in) uint8 and grid of ``weight`` (out, in), given XᵀX (in, in) of its inputs.

    ``damping``: added to the diagonal, as a part of its mean. ``activation_order``: inputs with the largest squares
    first, while many weights are left to compensate them. Groups follow the inputs' stored order, so the grid is
    chosen in advance, from the float weights.
    """
    assert scheme.group_size is not None
    hessian, weight = hessian.clone(), weight.detach().float().clone()
    diagonal = hessian.diagonal()
    dead = diagonal == 0
    weight[:, dead] = 0.0
    diagonal[dead] = 1.0
    diagonal += damping * diagonal.mean()
    order = torch.argsort(diagonal, descending=True) if activation_order else torch.arange(len(diagonal))
    upper = _inverse_cholesky(hessian[order][:, order])
    # The whole range: with compensated errors, cutting ranges off increased the error (bundled model: 0.0160 against
    # 0.0155 at 4 bits, 0.093 against 0.084 at 2).
    fixed = grid.by_range(weight, scheme)
    weight = weight[:, order]
    codes = torch.empty_like(weight, dtype=torch.uint8)
    group_of = order // scheme.group_size
    top = 2**scheme.bits - 1
    for start in range(0, weight.shape[1], _BLOCK):
        end = min(start + _BLOCK, weight.shape[1])
        errors = torch.empty_like(weight[:, start:end])
        for column in range(start, end):
            scale = fixed.scale[:, group_of[column]]
            zero_point = fixed.zero_point[:, group_of[column]].float()
            code = (torch.round(weight[:, column] / scale) + zero_point).clamp_(0, top)
            codes[:, column] = code.to(torch.uint8)
            error = (weight[:, column] - (code - zero_point) * scale) / upper[column, column]
            weight[:, column + 1 : end] -= error[:, None] * upper[column, column + 1 : end]
            errors[:, column - start] = error
        weight[:, end:] -= errors @ upper[start:end, end:]
    unordered = torch.empty_like(codes)
    unordered[:, order] = codes
    return unordered, fixed


def _inverse_cholesky(hessian: Tensor) -> Tensor:
    """The upper U with UᵀU = hessian⁻¹. QuantizationError where the Hessian cannot be inverted."""
    try:
        lower = torch.linalg.cholesky(hessian.double())
        upper: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
    except RuntimeError as error:
        raise QuantizationError(
            f"a Hessian cannot be inverted ({error}); raise --damping or give more varied calibration audio"
        ) from None
    return upper.float()
