"""The deployable Wav2Vec2-BERT: conformer layers, an optional adapter, one CTC head per level.

Dropout, LayerDrop, SpecAugment and the losses of the stock module are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...audio import FrontEnd
from ..architecture import Fold
from ..ctc import CTCModel
from ..layers.adapter import Adapter
from ..layers.attention import SelfAttention
from ..layers.convolution import Convolution
from ..layers.feedforward import FeedForward
from ..layers.state import EncoderState, before, key_mask, relative_index


class ConformerLayer(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, LayerNorm."""

    def __init__(
        self,
        ffn1_norm: nn.LayerNorm,
        ffn1: FeedForward,
        attention_norm: nn.LayerNorm,
        attention: SelfAttention,
        convolution: Convolution,
        ffn2_norm: nn.LayerNorm,
        ffn2: FeedForward,
        final_norm: nn.LayerNorm,
    ) -> None:
        super().__init__()
        self.ffn1_norm = ffn1_norm
        self.ffn1 = ffn1
        self.attention_norm = attention_norm
        self.attention = attention
        self.convolution = convolution
        self.ffn2_norm = ffn2_norm
        self.ffn2 = ffn2
        self.final_norm = final_norm

    def forward(self, state: EncoderState) -> EncoderState:
        """Changes ``hidden`` (B, T, H) and keeps its shape."""
        hidden = state.hidden + self.ffn1(self.ffn1_norm(state.hidden))
        hidden = hidden + self.attention(self.attention_norm(hidden), state.mask, state.positions)
        hidden = hidden + self.convolution(hidden, state.valid)
        hidden = hidden + self.ffn2(self.ffn2_norm(hidden))
        return state._replace(hidden=self.final_norm(hidden))


class Wav2Vec2BertCTC(CTCModel):
    """Wav2Vec2-BERT with one CTC head per level; ``distances`` is how far relative keys reach left and right."""

    folds = (
        Fold("layers.*", "ffn1_norm", ("ffn1.intermediate",)),
        Fold("layers.*", "attention_norm", ("attention.qkv",)),
        Fold("layers.*", "attention.qkv", ("attention.out",), part=(2, 3)),
        Fold("layers.*", "convolution.norm", ("convolution.pointwise1",)),
        Fold("layers.*", "ffn2_norm", ("ffn2.intermediate",)),
        Fold("adapter.layers.*", "attention.qkv", ("attention.out",), part=(2, 3)),
        Fold("adapter.layers.*", "feedforward_norm", ("feedforward.intermediate",)),
    )
    float_layers = ("projection", "heads")
    attention_layers = ("*.attention.*",)
    feed_forward_layers = ("*.ffn1.*", "*.ffn2.*", "*.feedforward.*")
    convolution_layers = ("*.pointwise1", "*.pointwise2", "*_convolution.linear")

    def __init__(
        self,
        *,
        projection_norm: nn.LayerNorm,
        projection: nn.Linear,
        layers: list[ConformerLayer],
        adapter: Adapter | None,
        heads: nn.Linear,
        levels: Mapping[str, int],
        front_end: FrontEnd,
        distances: tuple[int, int] | None,
    ) -> None:
        super().__init__(levels, front_end, () if adapter is None else adapter.strides)
        self.projection_norm = projection_norm
        self.projection = projection
        self.layers = nn.ModuleList(layers)
        self.adapter = adapter
        self.heads = heads
        self.distances = distances

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Conformer layers, then the adapter's projection and layers."""
        return [*self.layers, *([] if self.adapter is None else self.adapter.blocks)]

    def begin(self, inputs: Tensor, lengths: Tensor) -> EncoderState:
        """``inputs`` (B, T, F): hidden states (B, T, H), the mask, and one relative index for all layers.

        An adapter reads the frame behind the last valid one where the clip has it, half filled. So its hidden states
        have to be the stock module's, which starts with zeros there and sets them to zero in each convolution module.
        """
        dtype = self.projection_norm.weight.dtype
        hidden = self.projection(self.projection_norm(inputs.to(dtype)))
        frames = inputs.shape[1]
        full = self.front_end.full_frames(lengths)
        mask = key_mask(full, frames, dtype)
        index = None if self.distances is None else relative_index(frames, *self.distances, inputs.device)
        if self.adapter is None:
            return EncoderState(hidden, full, mask, index)
        valid = before(full, frames)[..., None].to(dtype)
        return EncoderState(hidden * valid, full, mask, index, self.front_end.frames(lengths), valid)

    def finish(self, state: EncoderState) -> dict[str, Tensor]:
        """Logits (B, T', V) float32 by level."""
        logits = self.heads(state.hidden).to(torch.float32)
        parts = torch.split(logits, list(self.levels.values()), dim=-1)
        return dict(zip(self.levels, parts, strict=True))
