"""An adapter behind an encoder: strided convolutions that lower the frame rate, each layer with its own attention."""

from __future__ import annotations

import torch
from torch import nn

from ...artifacts import Stride
from .attention import SelfAttention
from .convolution import StridedGatedConvolution
from .feedforward import FeedForward
from .state import EncoderState, before, key_mask


class AdapterProjection(nn.Sequential):
    """A Linear to the adapter's width and a LayerNorm."""

    def forward(self, state: EncoderState) -> EncoderState:
        """Changes ``hidden`` (B, T, H) to (B, T, H')."""
        linear, norm = self
        return state._replace(hidden=norm(linear(state.hidden)))


class AdapterLayer(nn.Module):
    """One reduction of the frame rate: convolved residual, convolved attention, feed-forward."""

    def __init__(
        self,
        residual_norm: nn.LayerNorm,
        residual_convolution: StridedGatedConvolution,
        attention_norm: nn.LayerNorm,
        attention_convolution: StridedGatedConvolution,
        attention: SelfAttention,
        feedforward_norm: nn.LayerNorm,
        feedforward: FeedForward,
    ) -> None:
        super().__init__()
        self.residual_norm = residual_norm
        self.residual_convolution = residual_convolution
        self.attention_norm = attention_norm
        self.attention_convolution = attention_convolution
        self.attention = attention
        self.feedforward_norm = feedforward_norm
        self.feedforward = feedforward

    @property
    def stride(self) -> Stride:
        """Of both convolutions."""
        return self.residual_convolution.stride

    def forward(self, state: EncoderState) -> EncoderState:
        """``hidden`` (B, T, H) becomes (B, T', H), with lengths and mask of T' frames; positions are not used.

        The convolutions read every frame that is present, valid or not, and attention the valid ones, as the stock
        module does with the clip alone.
        """
        hidden, present = state.hidden, state.present
        assert present is not None
        read = before(present, hidden.shape[1])[..., None]
        residual = self.residual_convolution(self.residual_norm(hidden), read)
        hidden = self.attention_convolution(self.attention_norm(hidden), read)
        lengths, present = self.stride.valid_frames(state.lengths), self.stride.frames(present)
        keys = lengths if self.stride.length_padding is None else torch.minimum(lengths, present)
        mask = key_mask(keys, hidden.shape[1], hidden.dtype)
        hidden = self.attention(hidden, mask, None) + residual
        hidden = hidden + self.feedforward(self.feedforward_norm(hidden))
        return EncoderState(hidden, lengths, mask, present=present)


class Adapter(nn.Module):
    """Blocks of a model: an optional projection to the adapter's width, then the layers. It is not called itself."""

    def __init__(self, projection: AdapterProjection | None, layers: list[AdapterLayer]) -> None:
        super().__init__()
        self.projection = projection
        self.layers = nn.ModuleList(layers)

    @property
    def blocks(self) -> list[nn.Module]:
        """The projection and the layers, in the order in which they run."""
        return [*([] if self.projection is None else [self.projection]), *self.layers]

    @property
    def strides(self) -> list[Stride]:
        """Of each layer's convolutions."""
        return [layer.stride for layer in self.layers if isinstance(layer, AdapterLayer)]
