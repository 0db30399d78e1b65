"""The conformer's convolution module, with its pointwise convolutions as Linears.

Source of the stock computation: transformers ``Wav2Vec2BertConvolutionModule``; Gulati et al. 2020, arXiv:2005.08100.
"""

from __future__ import annotations

from typing import Any

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

    The stock module zeroes padded frames first. Batches are padded on the right and the depthwise convolution
    looks only left, so a padded frame never reaches a valid one and the mask is not needed.
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


def rewrite_convolution(stock: Any) -> Convolution:
    """The deployable form of transformers' ``Wav2Vec2BertConvolutionModule``."""
    return Convolution(
        stock.layer_norm,
        pointwise_to_linear(stock.pointwise_conv1),
        stock.depthwise_conv,
        stock.depthwise_layer_norm,
        stock.activation,
        pointwise_to_linear(stock.pointwise_conv2),
    )
