"""The way back: a deployable model's weights under the names, and in the shapes, of the stock module.

Undoes what ``deployable`` did, tensor by tensor: q, k and v apart and without attention's 1/√d, feed-forwards without
the half step, heads by level, pointwise convolutions as such. Both factors are powers of two for head sizes of 4, 16,
64 and 256, so nothing is rounded; other head sizes move q by a last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import UnsupportedModelError
from .model import ConformerLayer, DeployableCTC

_ENCODER = "wav2vec2_bert"

WITHOUT_SPEC_AUGMENT = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
"""For ``config.json``: of SpecAugment, which is for training, the deployable model has no embedding left."""


@dataclass(frozen=True)
class Piece:
    """Rows of a deployable layer that are a layer of the stock module."""

    name: str
    """Of the stock module's layer, without ``.weight``."""
    layer: nn.Module
    """A Linear, or what a technique has made of it."""
    rows: slice
    factor: float = 1.0
    """By what the deployable layer's weights and bias are larger than the stock ones."""
    convolution: bool = False
    """Whether the stock layer is a ``Conv1d`` of kernel size 1, without a bias."""


def pieces(model: DeployableCTC) -> Iterator[Piece]:
    """Every linear layer of the stock module. Raises UnsupportedModelError for a model with an adapter."""
    if model.adapter is not None:
        raise UnsupportedModelError("models with an adapter cannot be written back as transformers checkpoints")
    yield Piece(f"{_ENCODER}.feature_projection.projection", model.projection, slice(None))
    for place, layer in enumerate(model.layers):
        assert isinstance(layer, ConformerLayer)
        yield from _of_layer(layer, f"{_ENCODER}.encoder.layers.{place}")
    if len(model.levels) == 1:
        yield Piece("lm_head", model.heads, slice(None))
        return
    start = 0
    for level, size in model.levels.items():
        yield Piece(f"level_to_lm_head.{level}", model.heads, slice(start, start + size))
        start += size


def tensors(piece: Piece, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """The stock layer's tensors by name, of the deployable layer's ``weight`` (out, in) and ``bias`` (out,)."""
    rows = weight[piece.rows] / piece.factor
    if piece.convolution:
        return {f"{piece.name}.weight": rows[..., None]}
    assert bias is not None
    return {f"{piece.name}.weight": rows, f"{piece.name}.bias": bias[piece.rows] / piece.factor}


def _of_layer(layer: ConformerLayer, name: str) -> Iterator[Piece]:
    for number, feed_forward in ((1, layer.ffn1), (2, layer.ffn2)):
        yield Piece(f"{name}.ffn{number}.intermediate_dense", feed_forward.intermediate, slice(None))
        yield Piece(f"{name}.ffn{number}.output_dense", feed_forward.output, slice(None), 0.5)
    attention = layer.attention
    width = layer.attention_norm.weight.shape[0]
    scaling = (width // attention.heads) ** -0.5
    for place, (part, factor) in enumerate((("q", scaling), ("k", 1.0), ("v", 1.0))):
        rows = slice(place * width, (place + 1) * width)
        yield Piece(f"{name}.self_attn.linear_{part}", attention.qkv, rows, factor)
    yield Piece(f"{name}.self_attn.linear_out", attention.out, slice(None))
    for number, pointwise in ((1, layer.convolution.pointwise1), (2, layer.convolution.pointwise2)):
        yield Piece(f"{name}.conv_module.pointwise_conv{number}", pointwise, slice(None), convolution=True)


def others(model: DeployableCTC) -> dict[str, Tensor]:
    """All other tensors of the stock module by name: norms, depthwise convolutions, relative keys."""
    found = _norm(f"{_ENCODER}.feature_projection.layer_norm", model.projection_norm)
    for place, layer in enumerate(model.layers):
        assert isinstance(layer, ConformerLayer)
        name = f"{_ENCODER}.encoder.layers.{place}"
        convolution = layer.convolution
        for part, norm in (
            ("ffn1_layer_norm", layer.ffn1_norm),
            ("self_attn_layer_norm", layer.attention_norm),
            ("conv_module.layer_norm", convolution.norm),
            ("conv_module.depthwise_layer_norm", convolution.depthwise_norm),
            ("ffn2_layer_norm", layer.ffn2_norm),
            ("final_layer_norm", layer.final_norm),
        ):
            found |= _norm(f"{name}.{part}", norm)
        found[f"{name}.conv_module.depthwise_conv.weight"] = convolution.depthwise.weight.detach()
        if layer.attention.distances is not None:
            distances = layer.attention.distances.detach().t()
            found[f"{name}.self_attn.distance_embedding.weight"] = distances
    return found


def _norm(name: str, norm: nn.LayerNorm) -> dict[str, Tensor]:
    return {f"{name}.weight": norm.weight.detach(), f"{name}.bias": norm.bias.detach()}
