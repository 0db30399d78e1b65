"""A feed-forward module."""

from __future__ import annotations

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Linear, activation, Linear: (B, T, H) to (B, T, H)."""

    def __init__(self, intermediate: nn.Linear, activation: nn.Module, output: nn.Linear) -> None:
        super().__init__()
        self.intermediate = intermediate
        self.activation = activation
        self.output = output

    def forward(self, hidden: Tensor) -> Tensor:
        """``hidden`` (B, T, H): (B, T, H)."""
        return self.output(self.activation(self.intermediate(hidden)))  # type: ignore[no-any-return]


def scaled_linear(linear: nn.Linear, scale: float) -> nn.Linear:
    """A Linear whose output is ``scale`` times that of ``linear``; exact where ``scale`` is a power of two."""
    if scale == 1.0:
        return linear
    scaled = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
    scaled.weight = nn.Parameter(linear.weight.detach() * scale, requires_grad=False)
    if linear.bias is not None:
        scaled.bias = nn.Parameter(linear.bias.detach() * scale, requires_grad=False)
    return scaled
