"""Convolutions over time on (B, T, H): the conformer's module with pointwise Linears, and a strided gated one.

Gulati et al. 2020, arXiv:2005.08100.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...artifacts import Stride


def pointwise_to_linear(convolution: nn.Conv1d) -> nn.Linear:
    """A ``Conv1d`` of kernel size 1 as the Linear that computes the same on (B, T, C) instead of (B, C, T)."""
    linear = nn.Linear(
        convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None, device="meta"
    )
    linear.weight = nn.Parameter(convolution.weight.detach().squeeze(-1), requires_grad=False)
    if convolution.bias is not None:
        linear.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
    return linear


def strided_to_linear(convolution: nn.Conv1d) -> nn.Linear:
    """A ``Conv1d`` as the Linear that computes the same on (B, T', kernel · C): ``kernel`` frames side by side."""
    kernel = convolution.kernel_size[0]
    linear = nn.Linear(
        kernel * convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None, device="meta"
    )
    linear.weight = nn.Parameter(convolution.weight.detach().transpose(1, 2).flatten(1), requires_grad=False)
    if convolution.bias is not None:
        linear.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
    return linear


class Convolution(nn.Module):
    """LayerNorm, pointwise, GLU, causal depthwise, LayerNorm, activation, pointwise: (B, T, H) to (B, T, H).

    Valid frames need no mask: batches are padded on the right and the depthwise convolution reads only earlier frames,
    so a padded frame never reaches a valid one.
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

    def forward(self, hidden: Tensor, valid: Tensor | None = None) -> Tensor:
        """``hidden`` (B, T, H): (B, T, H).

        ``valid`` (B, T, 1) is 0 on frames that the depthwise convolution has to read as zeros; None where no layer
        reads the outputs of such frames. The stock module sets the input of ``pointwise1`` to zero, which has no bias:
        zeros at the gate's output are the same, and engines fuse them with the gate.
        """
        gated = nn.functional.glu(self.pointwise1(self.norm(hidden)), dim=-1)
        if valid is not None:
            gated = gated * valid
        causal = nn.functional.pad(gated.transpose(1, 2), (self.depthwise.kernel_size[0] - 1, 0))
        filtered = self.depthwise_norm(self.depthwise(causal).transpose(1, 2))
        return self.pointwise2(self.activation(filtered))  # type: ignore[no-any-return]


class StridedGatedConvolution(nn.Module):
    """A strided convolution and GLU on (B, T, H), as a Linear on the frames that each output frame reads."""

    def __init__(self, linear: nn.Linear, stride: Stride) -> None:
        """``linear`` takes ``stride.kernel`` frames side by side, as ``strided_to_linear`` makes it."""
        super().__init__()
        self.linear = linear
        self.stride = stride

    def forward(self, hidden: Tensor, present: Tensor) -> Tensor:
        """``hidden`` (B, T, H), ``present`` (B, T, 1) bool: (B, T', H').

        Frames that the clip alone does not have are set to zero, as the convolution's own padding is, so a clip in a
        padded batch gets the output that it has alone.
        """
        kernel, step, padding = self.stride.kernel, self.stride.stride, self.stride.padding
        masked = torch.where(present, hidden, torch.zeros_like(hidden[:1, :1, :1]))
        padded = nn.functional.pad(masked, (0, 0, padding, padding))
        # Frame ``offset`` of every window. Ends count from the last frame: no arithmetic on lengths in exported graphs.
        frames = [padded[:, offset : (offset - kernel + 1) or None : step] for offset in range(kernel)]
        return nn.functional.glu(self.linear(torch.cat(frames, dim=-1)), dim=-1)
