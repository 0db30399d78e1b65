"""What encoder layers and adapter layers hand on to each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class EncoderState(NamedTuple):
    """Hidden states between two blocks, and what every attention layer needs beside them."""

    hidden: Tensor
    """(B, T, H) float."""
    lengths: Tensor
    """(B,) int64: valid frames of each clip, as the stock model counts them."""
    mask: Tensor
    """(B, 1, 1, T) additive: 0 on valid keys, the lowest finite value on padding."""
    positions: Tensor | None = None
    """(T, T) int64 from ``relative_index``; None without relative positions. One for all layers."""
    present: Tensor | None = None
    """(B,) int64: frames that the stock model has of the clip alone, for convolutions that read those behind the valid
    ones; None where no later layer does."""
    valid: Tensor | None = None
    """(B, T, 1) float: 1 on valid frames, 0 on others; None where no layer has to zero these."""


def relative_index(frames: int, left: int, right: int, device: torch.device) -> Tensor:
    """Row of the distance table for every (query, key) pair: clamp(j − i, −left, right) + left, (T, T) int64."""
    positions = torch.arange(frames, device=device)
    return torch.clamp(positions[None, :] - positions[:, None], -left, right) + left


def before(lengths: Tensor, frames: int) -> Tensor:
    """Whether a frame is one of the clip's first ``lengths`` (B,): (B, T) bool."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]


def key_mask(lengths: Tensor, frames: int, dtype: torch.dtype) -> Tensor:
    """Additive mask (B, 1, 1, T): 0 on valid keys, the lowest finite value of ``dtype`` on padding."""
    valid = before(lengths, frames)
    lowest = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=lengths.device)
    return torch.where(valid, torch.zeros_like(lowest), lowest)[:, None, None, :]
