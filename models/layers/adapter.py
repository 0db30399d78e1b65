"""The optional adapter behind the encoder: strided convolutions that lower the frame rate.

Source of the stock computation: transformers ``Wav2Vec2BertAdapter``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .attention import SelfAttention, key_mask, rewrite_attention
from .feedforward import FeedForward, rewrite_feedforward


class StridedGatedConvolution(nn.Module):
    """Strided ``Conv1d`` and GLU on (B, T, H), blind to padding."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, hidden: Tensor, valid: Tensor) -> Tensor:
        """``hidden`` (B, T, H), ``valid`` (B, T, 1) bool: (B, T', H).

        The stock module lets padded frames reach the last valid output; zeroed, they equal the convolution's own
        zero padding, and a clip in a padded batch gets the output that it has alone.
        """
        masked = torch.where(valid, hidden, torch.zeros_like(hidden[:1, :1, :1]))
        return nn.functional.glu(self.convolution(masked.transpose(1, 2)), dim=1).transpose(1, 2)


class AdapterLayer(nn.Module):
    """One halving of the frame rate: convolved residual, convolved attention, feed-forward."""

    def __init__(
        self,
        residual_norm: nn.LayerNorm,
        residual_convolution: nn.Conv1d,
        attention_norm: nn.LayerNorm,
        attention_convolution: nn.Conv1d,
        attention: SelfAttention,
        feedforward_norm: nn.LayerNorm,
        feedforward: FeedForward,
    ) -> None:
        super().__init__()
        self.residual_norm = residual_norm
        self.residual_convolution = StridedGatedConvolution(residual_convolution)
        self.attention_norm = attention_norm
        self.attention_convolution = StridedGatedConvolution(attention_convolution)
        self.attention = attention
        self.feedforward_norm = feedforward_norm
        self.feedforward = feedforward
        kernel, stride, padding = (
            residual_convolution.kernel_size,
            residual_convolution.stride,
            residual_convolution.padding,
        )
        self.geometry = (int(kernel[0]), int(stride[0]), int(padding[0]))

    def forward(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``hidden`` (B, T, H), ``lengths`` (B,): the shorter hidden states and lengths."""
        valid = (torch.arange(hidden.shape[1], device=hidden.device)[None, :] < lengths[:, None])[..., None]
        residual = self.residual_convolution(self.residual_norm(hidden), valid)
        hidden = self.attention_convolution(self.attention_norm(hidden), valid)
        kernel, stride, padding = self.geometry
        lengths = torch.div(lengths + 2 * padding - kernel, stride, rounding_mode="floor") + 1
        mask = key_mask(lengths, hidden.shape[1], hidden.dtype)
        hidden = self.attention(hidden, mask, None) + residual
        return hidden + self.feedforward(self.feedforward_norm(hidden)), lengths


class Adapter(nn.Module):
    """Optional projection to the adapter's width, then its layers."""

    def __init__(self, projection: nn.Module | None, layers: list[AdapterLayer]) -> None:
        super().__init__()
        self.projection = projection
        self.layers = nn.ModuleList(layers)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """``hidden`` (B, T, H), ``lengths`` (B,): (B, T', H')."""
        if self.projection is not None:
            hidden = self.projection(hidden)
        for layer in self.layers:
            hidden, lengths = layer(hidden, lengths)
        return hidden


def rewrite_adapter(stock: Any) -> Adapter:
    """The deployable form of transformers' ``Wav2Vec2BertAdapter``."""
    layers = [
        AdapterLayer(
            layer.residual_layer_norm,
            layer.residual_conv,
            layer.self_attn_layer_norm,
            layer.self_attn_conv,
            rewrite_attention(layer.self_attn),
            layer.ffn_layer_norm,
            rewrite_feedforward(layer.ffn, scale=1.0),
        )
        for layer in stock.layers
    ]
    projection = None if stock.proj is None else nn.Sequential(stock.proj, stock.proj_layer_norm)
    return Adapter(projection, layers)
