"""Greedy CTC decoding of a batch (Graves et al. 2006): repeats merged, blanks left out."""

from __future__ import annotations

import torch
from torch import Tensor


def greedy(logits: Tensor, lengths: Tensor, blank: int) -> list[list[int]]:
    """Ids of the transcript of each clip of ``logits`` (B, T, V), of which ``lengths`` (B,) frames count."""
    found = []
    for best, length in zip(logits.argmax(-1).cpu(), lengths.tolist(), strict=True):
        runs = torch.unique_consecutive(best[:length]).tolist()
        found.append([index for index in runs if index != blank])
    return found
