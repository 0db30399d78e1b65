"""The way back: a deployable model's weights under the names, and in the shapes, of the stock module.

Undoes the rewrites tensor by tensor: q, k and v apart and without attention's 1/√d, feed-forwards without the half
step, heads by level, convolutions as such. Both factors are powers of two for head sizes of 4, 16, 64 and
256, so nothing is rounded; with other head sizes the last bit of q may change.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ..architecture import StockLayer
from ..layers.adapter import Adapter, AdapterLayer
from ..layers.attention import SelfAttention
from .model import ConformerLayer, Wav2Vec2BertCTC

_ENCODER = "wav2vec2_bert"
_EVERY_ROW = slice(None)


def stock_layers(model: Wav2Vec2BertCTC) -> Iterator[StockLayer]:
    """Every linear layer of the stock module."""
    yield StockLayer(f"{_ENCODER}.feature_projection.projection", model.projection, _EVERY_ROW)
    for index, layer in enumerate(model.layers):
        assert isinstance(layer, ConformerLayer)
        yield from _of_layer(layer, f"{_ENCODER}.encoder.layers.{index}")
    if model.adapter is not None:
        yield from _of_adapter(model.adapter, f"{_ENCODER}.adapter")
    if len(model.levels) == 1:
        yield StockLayer("lm_head", model.heads, _EVERY_ROW)
        return
    start = 0
    for level, size in model.levels.items():
        yield StockLayer(f"level_to_lm_head.{level}", model.heads, slice(start, start + size))
        start += size


def _of_layer(layer: ConformerLayer, name: str) -> Iterator[StockLayer]:
    for number, feed_forward in ((1, layer.ffn1), (2, layer.ffn2)):
        yield StockLayer(f"{name}.ffn{number}.intermediate_dense", feed_forward.intermediate, _EVERY_ROW)
        yield StockLayer(f"{name}.ffn{number}.output_dense", feed_forward.output, _EVERY_ROW, 0.5)
    yield from _of_attention(layer.attention, layer.attention_norm, f"{name}.self_attn")
    for number, pointwise in ((1, layer.convolution.pointwise1), (2, layer.convolution.pointwise2)):
        name_of_it = f"{name}.conv_module.pointwise_conv{number}"
        yield StockLayer(name_of_it, pointwise, _EVERY_ROW, kernel=1, bias=False)


def _of_attention(attention: SelfAttention, norm: nn.LayerNorm, name: str) -> Iterator[StockLayer]:
    width = norm.weight.shape[0]
    scaling = (width // attention.heads) ** -0.5
    for index, (part, factor) in enumerate((("q", scaling), ("k", 1.0), ("v", 1.0))):
        yield StockLayer(f"{name}.linear_{part}", attention.qkv, slice(index * width, (index + 1) * width), factor)
    yield StockLayer(f"{name}.linear_out", attention.out, _EVERY_ROW)


def _of_adapter(adapter: Adapter, name: str) -> Iterator[StockLayer]:
    if adapter.projection is not None:
        yield StockLayer(f"{name}.proj", adapter.projection[0], _EVERY_ROW)
    for index, layer in enumerate(adapter.layers):
        assert isinstance(layer, AdapterLayer)
        prefix = f"{name}.layers.{index}"
        for part, strided in (
            ("residual_conv", layer.residual_convolution),
            ("self_attn_conv", layer.attention_convolution),
        ):
            yield StockLayer(f"{prefix}.{part}", strided.linear, _EVERY_ROW, kernel=strided.stride.kernel)
        yield from _of_attention(layer.attention, layer.attention_norm, f"{prefix}.self_attn")
        yield StockLayer(f"{prefix}.ffn.intermediate_dense", layer.feedforward.intermediate, _EVERY_ROW)
        yield StockLayer(f"{prefix}.ffn.output_dense", layer.feedforward.output, _EVERY_ROW)


def other_weights(model: Wav2Vec2BertCTC) -> dict[str, Tensor]:
    """All other tensors of the stock module by name: norms, depthwise convolutions, relative keys."""
    weights = _tensors(f"{_ENCODER}.feature_projection.layer_norm", model.projection_norm)
    for index, layer in enumerate(model.layers):
        assert isinstance(layer, ConformerLayer)
        name = f"{_ENCODER}.encoder.layers.{index}"
        convolution = layer.convolution
        for part, module in (
            ("ffn1_layer_norm", layer.ffn1_norm),
            ("self_attn_layer_norm", layer.attention_norm),
            ("conv_module.layer_norm", convolution.norm),
            ("conv_module.depthwise_conv", convolution.depthwise),
            ("conv_module.depthwise_layer_norm", convolution.depthwise_norm),
            ("ffn2_layer_norm", layer.ffn2_norm),
            ("final_layer_norm", layer.final_norm),
        ):
            weights |= _tensors(f"{name}.{part}", module)
        if layer.attention.distances is not None:
            distances = layer.attention.distances.detach().t()
            weights[f"{name}.self_attn.distance_embedding.weight"] = distances
    return weights if model.adapter is None else weights | _others_of_adapter(model.adapter, f"{_ENCODER}.adapter")


def _others_of_adapter(adapter: Adapter, name: str) -> dict[str, Tensor]:
    weights = {} if adapter.projection is None else _tensors(f"{name}.proj_layer_norm", adapter.projection[1])
    for index, layer in enumerate(adapter.layers):
        assert isinstance(layer, AdapterLayer)
        for part, module in (
            ("residual_layer_norm", layer.residual_norm),
            ("self_attn_layer_norm", layer.attention_norm),
            ("ffn_layer_norm", layer.feedforward_norm),
        ):
            weights |= _tensors(f"{name}.layers.{index}.{part}", module)
    return weights


def _tensors(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{part}": value.detach() for part, value in module.named_parameters()}
