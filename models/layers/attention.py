"""Self-attention with Shaw's relative keys, without a T × T × d tensor and with one projection for q, k and v.

Shaw et al. 2018, arXiv:1803.02155.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fuse_qkv(query: nn.Linear, key: nn.Linear, value: nn.Linear, scaling: float) -> nn.Linear:
    """One Linear whose output is [q · scaling, k, v] on the last axis.

    The attention's 1/√d goes into the query rows, so that neither the scores nor the relative bias needs it.
    """
    fused = nn.Linear(query.in_features, 3 * query.out_features, device="meta")
    weights = (query.weight * scaling, key.weight, value.weight)
    biases = (query.bias * scaling, key.bias, value.bias)
    fused.weight = nn.Parameter(torch.cat(weights).detach(), requires_grad=False)
    fused.bias = nn.Parameter(torch.cat(biases).detach(), requires_grad=False)
    return fused


class SelfAttention(nn.Module):
    """Multi-head self-attention; ``distances`` (left + right + 1, d) is None in layers without relative keys."""

    def __init__(self, qkv: nn.Linear, out: nn.Linear, distances: Tensor | None, heads: int) -> None:
        super().__init__()
        self.qkv = qkv
        self.out = out
        self.heads = heads
        # (d, distances): the layout in which the exported graph multiplies it.
        self.distances = None if distances is None else nn.Parameter(distances.t().contiguous(), requires_grad=False)

    def forward(self, hidden: Tensor, mask: Tensor, index: Tensor | None) -> Tensor:
        """``hidden`` (B, T, H), ``mask`` (B, 1, 1, T) additive, ``index`` (T, T) from ``relative_index``: (B, T, H)."""
        batch, frames, width = hidden.shape
        split = self.qkv(hidden).view(batch, frames, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split[0], split[1], split[2]
        scores = torch.matmul(query, key.transpose(2, 3))
        if self.distances is not None and index is not None:
            # q · Eᵀ has one column per distance (73 of them); each score picks its own. (B, heads, T, T)
            by_distance = torch.matmul(query, self.distances)
            scores = scores + torch.gather(by_distance, 3, index.expand(batch, self.heads, frames, frames))
        # The mask is added last, by itself: engines that fuse attention then read its (B, 1, 1, T) inside the fusion.
        weights = torch.softmax(scores + mask, dim=-1)
        mixed = torch.matmul(weights, value).transpose(1, 2).reshape(batch, frames, width)
        return self.out(mixed)  # type: ignore[no-any-return]
