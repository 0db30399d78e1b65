"""The deployable model: the stock module rewritten exactly, once, before anything else sees it.

Each rewrite is its own function, tested against the stock module: ``rewrite_attention`` (relative keys by gather,
q, k and v as one Linear), ``rewrite_convolution`` (pointwise convolutions as Linears), ``rewrite_feedforward`` (the
half step inside the weights), ``rewrite_adapter`` (padding that does not leak) and ``fuse_heads`` (all heads as one
Linear). Dropout, LayerDrop, SpecAugment and the losses are left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UnsupportedModelError
from ..layers.adapter import Adapter, AdapterLayer, rewrite_adapter
from ..layers.attention import SelfAttention, key_mask, relative_index, rewrite_attention
from ..layers.convolution import Convolution, rewrite_convolution
from ..layers.feedforward import FeedForward, rewrite_feedforward


class ConformerLayer(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, LayerNorm: (B, T, H) to (B, T, H)."""

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

    def forward(self, hidden: Tensor, mask: Tensor, index: Tensor | None) -> Tensor:
        """``hidden`` (B, T, H), ``mask`` (B, 1, 1, T), ``index`` (T, T): (B, T, H)."""
        hidden = hidden + self.ffn1(self.ffn1_norm(hidden))
        hidden = hidden + self.attention(self.attention_norm(hidden), mask, index)
        hidden = hidden + self.convolution(hidden)
        hidden = hidden + self.ffn2(self.ffn2_norm(hidden))
        return self.final_norm(hidden)  # type: ignore[no-any-return]


class DeployableCTC(nn.Module):
    """Wav2Vec2-BERT with one CTC head per level.

    ``forward(features, lengths)``: features (B, T, F) float32, lengths (B,) int64 in frames, padding on the right;
    returns one (B, T', V) float32 tensor of logits per level, in the order of ``levels``. Frames beyond a clip's
    length are meaningless.
    """

    def __init__(
        self,
        *,
        projection_norm: nn.LayerNorm,
        projection: nn.Linear,
        layers: list[ConformerLayer],
        adapter: Adapter | None,
        heads: nn.Linear,
        levels: Mapping[str, int],
        distances: tuple[int, int] | None,
    ) -> None:
        super().__init__()
        self.projection_norm = projection_norm
        self.projection = projection
        self.layers = nn.ModuleList(layers)
        self.adapter = adapter
        self.heads = heads
        self.levels = dict(levels)
        self.distances = distances
        self.feature_size = projection.in_features
        self.notes: dict[str, Any] = {}
        """What was chosen for this model while it was quantized, as plain JSON for the manifest."""

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Logits of every level; see the class."""
        dtype = self.projection_norm.weight.dtype
        hidden = self.projection(self.projection_norm(features.to(dtype)))
        frames = features.shape[1]
        mask = key_mask(lengths, frames, dtype)
        # One index for all layers; each would otherwise build its own T × T integers.
        index = None if self.distances is None else relative_index(frames, *self.distances, features.device)
        for layer in self.layers:
            hidden = layer(hidden, mask, index)
        if self.adapter is not None:
            hidden = self.adapter(hidden, lengths)
        logits = self.heads(hidden).to(torch.float32)
        return torch.split(logits, list(self.levels.values()), dim=-1)

    @property
    def subsampling(self) -> list[tuple[int, int, int]]:
        """(kernel, stride, padding) of every strided convolution, which give T' from T."""
        if self.adapter is None:
            return []
        return [layer.geometry for layer in self.adapter.layers if isinstance(layer, AdapterLayer)]


def fuse_heads(heads: Mapping[str, nn.Linear]) -> nn.Linear:
    """All levels' heads as one Linear, their outputs side by side in the order given."""
    first = next(iter(heads.values()))
    fused = nn.Linear(first.in_features, sum(head.out_features for head in heads.values()), device="meta")
    fused.weight = nn.Parameter(torch.cat([head.weight.detach() for head in heads.values()]), requires_grad=False)
    fused.bias = nn.Parameter(torch.cat([head.bias.detach() for head in heads.values()]), requires_grad=False)
    return fused


def _rewrite_layer(stock: Any) -> ConformerLayer:
    return ConformerLayer(
        stock.ffn1_layer_norm,
        rewrite_feedforward(stock.ffn1),
        stock.self_attn_layer_norm,
        rewrite_attention(stock.self_attn),
        rewrite_convolution(stock.conv_module),
        stock.ffn2_layer_norm,
        rewrite_feedforward(stock.ffn2),
        stock.final_layer_norm,
    )


def check_supported(config: Any) -> None:
    """Raise UnsupportedModelError for a configuration whose computation the rewrites do not cover."""
    positions = config.position_embeddings_type
    if positions not in (None, "relative_key"):
        raise UnsupportedModelError(
            f"position_embeddings_type {positions!r} is not supported; qasr deploys relative_key and null"
        )
    if getattr(config, "use_intermediate_ffn_before_adapter", False):
        raise UnsupportedModelError("use_intermediate_ffn_before_adapter is not supported")


def deployable(stock: Any, levels: Mapping[str, int]) -> DeployableCTC:
    """Rewrite a stock model (``Wav2Vec2BertForCTC`` or the multi-level class); ``levels`` gives vocabulary sizes.

    The result shares what it can with the stock model, whose own layers are released one by one, so that the peak
    is one model and one layer. Raises UnsupportedModelError.
    """
    config = stock.config
    check_supported(config)
    encoder = stock.wav2vec2_bert
    stock_layers = encoder.encoder.layers
    layers = []
    for position in range(len(stock_layers)):
        layers.append(_rewrite_layer(stock_layers[position]))
        stock_layers[position] = nn.Identity()
    heads = stock.level_to_lm_head if hasattr(stock, "level_to_lm_head") else {next(iter(levels)): stock.lm_head}
    relative = config.position_embeddings_type == "relative_key"
    model = DeployableCTC(
        projection_norm=encoder.feature_projection.layer_norm,
        projection=encoder.feature_projection.projection,
        layers=layers,
        adapter=None if encoder.adapter is None else rewrite_adapter(encoder.adapter),
        heads=fuse_heads({level: heads[level] for level in levels}),
        levels=levels,
        distances=(config.left_max_position_embeddings, config.right_max_position_embeddings) if relative else None,
    )
    return model.eval().requires_grad_(False)
