"""The values of a group's codes: scales and zero points, from the range or by least error.

A group of inputs of one output channel has codes 0 … 2^bits − 1, and value = (code − zero point) · scale. Symmetric
schemes fix the zero point at 2^(bits − 1). Scales are values that fp16 represents exactly, so that storing
them in fp16 loses nothing; those of two-level schemes (Lin et al. 2024, arXiv:2405.04532) are 1 … 15 times the scale of
an output channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import QuantizationError
from ..scheme import WeightScheme
from .operators import grouped_weight

# Parts of a group's range that are tried. Cutting off more than a half never reduced the error.
_SHRINKS = tuple(1.0 - step / 40 for step in range(24))
_SMALLEST_SCALE = 2.0**-20
_LARGEST_SCALE = 65504.0
LARGEST_MULTIPLE = 15
"""Largest multiple of the channel's scale in two-level schemes: 8 · 15 is an 8-bit integer."""


@dataclass(frozen=True)
class Grid:
    """``scale`` (out, groups) float32 and ``zero_point`` (out, groups) uint8."""

    scale: Tensor
    zero_point: Tensor

    def codes(self, weight: Tensor, bits: int) -> Tensor:
        """The nearest codes (out, in) uint8 of ``weight`` (out, in)."""
        groups = weight.view(*self.scale.shape, -1)
        codes = torch.round(groups / self.scale[..., None]) + self.zero_point[..., None].to(weight.dtype)
        return codes.clamp_(0, 2**bits - 1).to(torch.uint8).view(weight.shape)

    def values(self, weight: Tensor, bits: int) -> Tensor:
        """``weight`` (out, in) rounded to the nearest values."""
        return grouped_weight(self.codes(weight, bits), self.scale, self.zero_point)


Choose = Callable[[Tensor, WeightScheme], Grid]


def by_range(weight: Tensor, scheme: WeightScheme) -> Grid:
    """The grid that spans the range of every group: weight (out, in)."""
    grid = _shrunk(_in_groups(weight, scheme), scheme, 1.0)
    return _two_levels(grid) if scheme.two_level else grid


def by_error(weight: Tensor, scheme: WeightScheme, gram: Tensor | None = None) -> Grid:
    """For each group the shrunk range with the least squared error: of weights, or of outputs where ``gram`` is given.

    ``gram`` (groups, n, n) is XᵀX of each group's inputs: δᵀ gram δ is the squared error that a weight error δ causes
    in the output, with only this group rounded.
    """
    groups = _in_groups(weight, scheme)
    best = _shrunk(groups, scheme, 1.0)
    least = _error(groups, best, scheme, gram)
    for shrink in _SHRINKS[1:]:
        grid = _shrunk(groups, scheme, shrink)
        error = _error(groups, grid, scheme, gram)
        better = error < least
        least = torch.where(better, error, least)
        best = Grid(torch.where(better, grid.scale, best.scale), torch.where(better, grid.zero_point, best.zero_point))
    return _two_levels(best) if scheme.two_level else best


def grams(rows: Tensor, group_size: int) -> Tensor:
    """XᵀX (groups, n, n) of each group of the inputs ``rows`` (frames, in)."""
    parts = rows.view(rows.shape[0], -1, group_size).transpose(0, 1)
    return parts.transpose(1, 2) @ parts


def _in_groups(weight: Tensor, scheme: WeightScheme) -> Tensor:
    if scheme.group_size is None or weight.shape[1] % scheme.group_size:
        raise QuantizationError(f"groups of {scheme.group_size} do not divide {weight.shape[1]} inputs")
    return weight.detach().float().view(weight.shape[0], -1, scheme.group_size)


def _shrunk(groups: Tensor, scheme: WeightScheme, shrink: float) -> Grid:
    """The grid over ``shrink`` of the range of ``groups`` (out, groups, n)."""
    top = 2**scheme.bits - 1
    middle = 2 ** (scheme.bits - 1)
    if scheme.two_level:
        scale = representable(torch.maximum(-groups.amin(-1) / middle, groups.amax(-1) / (middle - 1)) * shrink)
        return Grid(scale, torch.full_like(scale, middle, dtype=torch.uint8))
    if scheme.symmetric:
        # Codes reach one step further down than up; the sign of the scale gives the largest weight that code.
        low, high = groups.amin(-1), groups.amax(-1)
        extreme = torch.where(-low > high, low, high) * shrink
        scale = representable(-extreme / middle)
        return Grid(scale, torch.full_like(scale, middle, dtype=torch.uint8))
    low, high = groups.amin(-1).clamp_max(0.0) * shrink, groups.amax(-1).clamp_min(0.0) * shrink
    scale = representable((high - low) / top)
    return Grid(scale, torch.round(-low / scale).clamp_(0, top).to(torch.uint8))


def _two_levels(grid: Grid) -> Grid:
    """Scales rounded up to integer multiples of the channel's, so that no range is cut further."""
    unit = channel_scale(grid.scale)
    return Grid((grid.scale / unit).ceil().clamp_(1, LARGEST_MULTIPLE) * unit, grid.zero_point)


def channel_scale(scale: Tensor) -> Tensor:
    """The scale (out, 1) of each channel of a two-level ``scale`` (out, groups): its largest is 15 times that."""
    return scale.amax(dim=1, keepdim=True) / LARGEST_MULTIPLE


def representable(scale: Tensor) -> Tensor:
    """The nearest fp16 value, kept away from 0, in float32."""
    size = scale.abs().clamp(_SMALLEST_SCALE, _LARGEST_SCALE).half().float()
    return torch.where(scale < 0, -size, size)


def _error(groups: Tensor, grid: Grid, scheme: WeightScheme, gram: Tensor | None) -> Tensor:
    """Squared error of each group, (out, groups)."""
    flat = groups.flatten(1)
    error = (grid.values(flat, scheme.bits) - flat).view(groups.shape)
    if gram is None:
        return error.square().sum(-1)
    return (torch.einsum("ogi,gij->ogj", error, gram) * error).sum(-1)
