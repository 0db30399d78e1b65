"""Exact rewrites of transformers' Wav2Vec2-BERT modules into the layers of the deployable model.

Relative keys by gather with q, k and v in one Linear; pointwise and strided convolutions as Linears; the half step of
the feed-forwards inside their weights; an adapter that padding does not reach.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ...artifacts import Stride
from ..layers.adapter import Adapter, AdapterLayer, AdapterProjection
from ..layers.attention import SelfAttention, fuse_qkv
from ..layers.convolution import Convolution, StridedGatedConvolution, pointwise_to_linear, strided_to_linear
from ..layers.feedforward import FeedForward, scaled_linear
from .model import ConformerLayer


def rewrite_attention(stock: Any) -> SelfAttention:
    """The deployable form of ``Wav2Vec2BertSelfAttention`` (relative_key or no positions)."""
    qkv = fuse_qkv(stock.linear_q, stock.linear_k, stock.linear_v, stock.scaling)
    relative = stock.position_embeddings_type == "relative_key"
    distances = stock.distance_embedding.weight.detach() if relative else None
    return SelfAttention(qkv, stock.linear_out, distances, stock.num_heads)


def rewrite_convolution(stock: Any) -> Convolution:
    """The deployable form of ``Wav2Vec2BertConvolutionModule``, whose mask only models with an adapter need."""
    return Convolution(
        stock.layer_norm,
        pointwise_to_linear(stock.pointwise_conv1),
        stock.depthwise_conv,
        stock.depthwise_layer_norm,
        stock.activation,
        pointwise_to_linear(stock.pointwise_conv2),
    )


def rewrite_feedforward(stock: Any, *, scale: float = 0.5) -> FeedForward:
    """The deployable form of ``Wav2Vec2BertFeedForward``; ``scale`` is the conformer's half step."""
    return FeedForward(stock.intermediate_dense, stock.intermediate_act_fn, scaled_linear(stock.output_dense, scale))


def rewrite_layer(stock: Any) -> ConformerLayer:
    """The deployable form of ``Wav2Vec2BertEncoderLayer``."""
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


def rewrite_adapter(stock: Any) -> Adapter:
    """The deployable form of ``Wav2Vec2BertAdapter``; it counts valid frames with a padding of half the kernel."""
    layers = [
        AdapterLayer(
            layer.residual_layer_norm,
            _rewrite_strided(layer.residual_conv),
            layer.self_attn_layer_norm,
            _rewrite_strided(layer.self_attn_conv),
            rewrite_attention(layer.self_attn),
            layer.ffn_layer_norm,
            rewrite_feedforward(layer.ffn, scale=1.0),
        )
        for layer in stock.layers
    ]
    projection = None if stock.proj is None else AdapterProjection(stock.proj, stock.proj_layer_norm)
    return Adapter(projection, layers)


def _rewrite_strided(stock: nn.Conv1d) -> StridedGatedConvolution:
    (kernel,), (stride,) = stock.kernel_size, stock.stride
    assert not isinstance(stock.padding, str)
    padding, counted = stock.padding[0], kernel // 2
    return StridedGatedConvolution(
        strided_to_linear(stock), Stride(kernel, stride, padding, counted if counted != padding else None)
    )
