"""GPTQ: each layer's weights are rounded input by input, and those not yet rounded make up for the error.

Frantar et al. 2022, arXiv:2210.17323. With the inputs X of a layer on calibration audio and H = XᵀX, rounding weight i
of a row to q errs by (w_i − q) / U_ii, where UᵀU = H⁻¹ (Cholesky); adding −error · U_i,i+1… to the weights that
follow keeps the layer's output nearest. Layers see what their quantized predecessors give.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...models import DeployableCTC
from ..layers import grid
from ..layers.grouped import GroupedLinear
from ..scheme import WeightScheme
from ..technique import CalibrationSet, Options, QuantizationError, check_groups, quantizable, replace
from .journal import Journal
from .sequential import Sequence

# Columns after which the weights that follow are brought up to date in one product, as in the authors' code.
_BLOCK = 128
# Of the model's input: no layer before the adapter sees fewer.
FRAMES_PER_SECOND = 50


class TooFewFramesError(QuantizationError):
    """Calibration audio of which no Hessian can be made."""


class Hessian:
    """XᵀX (in, in) of a layer's inputs, over the frames seen."""

    def __init__(self, inputs: int) -> None:
        self.matrix = torch.zeros(inputs, inputs)
        self.frames = 0

    def add(self, rows: Tensor) -> None:
        """Take in ``rows`` (frames, in)."""
        self.matrix.addmm_(rows.t(), rows)
        self.frames += rows.shape[0]


def gptq(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a GroupedLinear. QuantizationError for too little audio."""
    if calibration is None:
        raise QuantizationError("GPTQ needs calibration audio; name it with --calibration")
    linears = dict(quantizable(model, options.exclude))
    check_groups(linears.items(), options.scheme)
    check_frames(linears, calibration)
    model.notes |= {"damping": options.damping, "activation_order": options.activation_order}
    journal = Journal(options.journal, "gptq", options, calibration)
    sequence = Sequence(model, calibration)
    for segment, names in sequence.walk(linears, options.track):
        if not names or journal.restore(model, segment, names):
            continue
        for name in names:
            hessian = Hessian(linears[name].in_features)
            sequence.show(segment, name, hessian.add)
            replace(model, name, _quantized(name, linears[name], hessian, options))
        journal.store(model, segment, names)
    return model


def check_frames(linears: dict[str, nn.Linear], calibration: CalibrationSet) -> None:
    """Raise QuantizationError where a layer has more inputs than there are frames: its Hessian would be singular."""
    name, linear = max(linears.items(), key=lambda item: item[1].in_features)
    frames = calibration.seconds * FRAMES_PER_SECOND
    if frames < linear.in_features:
        raise TooFewFramesError(
            f"calibration on {calibration.name} has {frames:.0f} frames, too few for the Hessian of {name}, which has "
            f"{linear.in_features} inputs; give at least {linear.in_features / FRAMES_PER_SECOND:.0f} s of audio"
        )


def _quantized(name: str, linear: nn.Linear, hessian: Hessian, options: Options) -> GroupedLinear:
    scheme = options.weight(name)
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

    ``damping``: what is added to the diagonal, as a part of its mean. ``activation_order``: inputs with the largest
    squares first, while there are still many weights to make up for them. Groups stay those of the inputs' own order,
    so the grid is chosen before, from the weights as they were.
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
    # The whole range: with errors made up for, cutting ranges off lost more than it won (bundled model: 0.0160 against
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
