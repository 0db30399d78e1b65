"""Greedy CTC decoding of a batch (Graves et al. 2006): repeats merged, blanks dropped."""

from __future__ import annotations

import torch
from torch import Tensor


def greedy(logits: Tensor, lengths: Tensor, blank: int) -> list[list[int]]:
    """Ids of each clip's transcript, from ``logits`` (B, T, V) with ``lengths`` (B,) valid frames."""
    transcripts = []
    for best, length in zip(logits.argmax(-1).cpu(), lengths.tolist(), strict=True):
        runs = torch.unique_consecutive(best[:length]).tolist()
        transcripts.append([index for index in runs if index != blank])
    return transcripts
