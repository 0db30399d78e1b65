"""Moving a scale per channel from a layer's output into the weights of the Linears behind it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...models.architecture import FoldedLayers
from .rewrite import linear_called, replace


def fold(model: nn.Module, folded: FoldedLayers, scales: Tensor) -> bool:
    """Divide the source's output by ``scales`` (channels,) and multiply the Linears' weights: the same function.

    Returns False, and changes nothing, where all scales are equal: no integer would change.
    """
    if float(scales.min()) == float(scales.max()):
        return False
    source: Any = model.get_submodule(folded.source)
    if isinstance(source, nn.Linear):
        replace(model, folded.source, _divided(source, scales, folded.part))
    else:
        source.weight = nn.Parameter(source.weight.detach() / scales, requires_grad=False)
        if getattr(source, "bias", None) is not None:
            source.bias = nn.Parameter(source.bias.detach() / scales, requires_grad=False)
    for name in folded.linears:
        replace(model, name, smoothed(linear_called(model, name), scales))
    return True


def is_norm(module: Any) -> bool:
    """Whether a fold's source is a norm, whose weight has one dimension, and not a Linear, quantized or not."""
    return bool(module.weight.dim() == 1)


def smoothed(linear: nn.Linear, scales: Tensor) -> nn.Linear:
    """``linear`` for inputs that were divided by ``scales`` (in,)."""
    return _with(linear, linear.weight.detach() * scales, linear.bias)


def _divided(linear: nn.Linear, scales: Tensor, part: tuple[int, int] | None) -> nn.Linear:
    """``linear`` with its output rows, or one of its equal parts, divided by ``scales``."""
    index, parts = part or (0, 1)
    width = linear.out_features // parts
    divisors = torch.ones(linear.out_features)
    divisors[index * width : (index + 1) * width] = scales
    bias = None if linear.bias is None else nn.Parameter(linear.bias.detach() / divisors, requires_grad=False)
    return _with(linear, linear.weight.detach() / divisors[:, None], bias)


def _with(linear: nn.Linear, weight: Tensor, bias: nn.Parameter | None) -> nn.Linear:
    changed = nn.Linear(linear.in_features, linear.out_features, bias=bias is not None, device="meta")
    changed.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        changed.bias = bias
    return changed
