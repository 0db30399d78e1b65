"""CTC heads of several levels as one Linear."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


def fuse_heads(heads: Mapping[str, nn.Linear]) -> nn.Linear:
    """All levels' heads as one Linear, their outputs side by side in the given order."""
    first = next(iter(heads.values()))
    fused = nn.Linear(first.in_features, sum(head.out_features for head in heads.values()), device="meta")
    fused.weight = nn.Parameter(torch.cat([head.weight.detach() for head in heads.values()]), requires_grad=False)
    fused.bias = nn.Parameter(torch.cat([head.bias.detach() for head in heads.values()]), requires_grad=False)
    return fused
