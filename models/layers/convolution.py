"""Convolutions over time on (B, T, H): the conformer's module with pointwise Linears, and a strided gated one.

Gulati et al. 2020, arXiv:2005.08100.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pointwise_to_linear(convolution: nn.Conv1d) -> nn.Linear:
    """A ``Conv1d`` of kernel size 1 as the Linear that computes the same on (B, T, C) instead of (B, C, T)."""
    linear = nn.Linear(
        convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None, device="meta"
    )
    linear.weight = nn.Parameter(convolution.weight.detach().squeeze(-1), requires_grad=False)
    if convolution.bias is not None:
        linear.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
    return linear


class Convolution(nn.Module):
    """LayerNorm, pointwise, GLU, causal depthwise, LayerNorm, activation, pointwise: (B, T, H) to (B, T, H).

    It needs no mask: batches are padded on the right and the depthwise convolution reads only earlier frames, so
    a padded frame never reaches a valid one.
    """

    def __init__(
        self,
        norm: nn.LayerNorm,
        pointwise1: nn.Linear,
        depthwise: nn.Conv1d,
        depthwise_norm: nn.LayerNorm,
        activation: nn.Module,
        pointwise2: nn.Linear,
    ) -> None:
        super().__init__()
        self.norm = norm
        self.pointwise1 = pointwise1
        self.depthwise = depthwise
        self.depthwise_norm = depthwise_norm
        self.activation = activation
        self.pointwise2 = pointwise2

    def forward(self, hidden: Tensor) -> Tensor:
        """``hidden`` (B, T, H): (B, T, H)."""
        gated = nn.functional.glu(self.pointwise1(self.norm(hidden)), dim=-1).transpose(1, 2)
        causal = nn.functional.pad(gated, (self.depthwise.kernel_size[0] - 1, 0))
        filtered = self.depthwise_norm(self.depthwise(causal).transpose(1, 2))
        return self.pointwise2(self.activation(filtered))  # type: ignore[no-any-return]


class StridedGatedConvolution(nn.Module):
    """Strided ``Conv1d`` and GLU on (B, T, H), with padded frames set to zero."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, hidden: Tensor, valid: Tensor) -> Tensor:
        """``hidden`` (B, T, H), ``valid`` (B, T, 1) bool: (B, T', H).

        Zeroed frames equal the convolution's own zero padding, so a clip in a padded batch gets the output that it has
        alone.
        """
        masked = torch.where(valid, hidden, torch.zeros_like(hidden[:1, :1, :1]))
        return nn.functional.glu(self.convolution(masked.transpose(1, 2)), dim=1).transpose(1, 2)
