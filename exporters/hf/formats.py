"""What a quantized layer's tensors and a checkpoint's ``quantization_config`` are called, format by format.

compressed-tensors, pack-quantized (https://github.com/vllm-project/compressed-tensors): ``weight_packed`` (out, in ·
bits / 32) int32 holds codes, lowest bits first, ``weight_scale`` (out, groups) their scales, float16 where that holds
them. Only symmetric schemes: those with zero points do not load again. bitsandbytes: as its ``Linear4bit`` and
``Linear8bitLt`` store themselves. optimum-quanto: as its ``QLinear`` does, with a map of layers to types in a file
beside ``config.json``, since transformers cannot read such weights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor

from ...gpu.layout import pack
from ...models import StockLayer
from ...quantizers import WeightScheme
from ...quantizers.layers.grouped import GroupedLinear
from ...quantizers.layers.quantized import Quantized
from ...quantizers.libraries.bitsandbytes import OUTLIER_THRESHOLD, LlmInt8Linear, Nf4Linear
from ...quantizers.libraries.quanto import QuantoLinear
from ..errors import ExportError


def tensors(stock_layer: StockLayer) -> dict[str, Tensor]:
    """The stored tensors of a quantized layer by name; its bias is float16.

    Raises ExportError for what the format cannot hold.
    """
    if stock_layer.kernel is not None:
        raise ExportError(f"no format here can hold {stock_layer.name}, a convolution; exclude it")
    layer: Any = stock_layer.layer
    stored = _TENSORS[type(layer)](layer, stock_layer.rows, stock_layer.factor)
    stored["bias"] = (layer.bias[stock_layer.rows] / stock_layer.factor).half()
    return {f"{stock_layer.name}.{name}": tensor for name, tensor in stored.items()}


def configuration(layers: Collection[Quantized], ignored: list[str]) -> dict[str, Any]:
    """``quantization_config`` and ``dtype`` of ``config.json`` for layers of one kind and scheme, if there are any.

    optimum-quanto's have their own file instead.
    """
    if all(isinstance(layer, QuantoLinear) for layer in layers):
        return {"dtype": "float32"}
    kinds = {(type(layer), layer.scheme.weight) for layer in layers}
    if len(kinds) != 1:
        raise ExportError("a transformers checkpoint holds one scheme; leave --bits-budget out")
    ((kind, scheme),) = kinds
    # transformers leaves what bitsandbytes does not touch in the type of the file, whatever dtype is requested.
    dtype = "float32" if kind is GroupedLinear else "float16"
    return {"dtype": dtype, "quantization_config": _CONFIGURATIONS[kind](scheme, ignored)}


def quantization_map(stock_layers: Iterable[StockLayer]) -> dict[str, dict[str, str]]:
    """What optimum-quanto needs to know of each layer that it has quantized, by its stock name."""
    return {
        one.name: {"weights": f"qint{one.layer.scheme.weight.bits}", "activations": "none"}
        for one in stock_layers
        if isinstance(one.layer, QuantoLinear)
    }


def _compressed_tensors(layer: Any, rows: slice, factor: float) -> dict[str, Tensor]:
    if not layer.scheme.weight.symmetric:
        raise ExportError(
            f"compressed-tensors does not load zero points again, so it cannot hold {layer.scheme.weight}"
        )
    codes, scale = layer.codes[rows], layer.scale[rows] / factor
    # Not those of q where a head's size has no power of two as its root.
    fits = torch.equal(scale.half().float(), scale)
    return {
        "weight_packed": pack(codes, layer.scheme.weight.bits).view(torch.int32),
        "weight_scale": scale.half() if fits else scale,
        "weight_shape": torch.tensor(codes.shape),
    }


def _compressed_tensors_configuration(scheme: WeightScheme, ignored: list[str]) -> dict[str, Any]:
    weights = {
        "num_bits": scheme.bits,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": scheme.group_size,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": ignored,
    }


def _nf4(layer: Any, rows: slice, factor: float) -> dict[str, Tensor]:
    from bitsandbytes.functional import QuantState

    packed, absmax = layer.packed[rows], layer.absmax[rows] / factor
    state = QuantState(  # type: ignore[no-untyped-call]
        absmax=absmax.flatten(),
        shape=torch.Size((packed.shape[0], packed.shape[1] * 2)),
        code=layer.table.clone(),  # safetensors refuses tensors that share memory
        blocksize=64,
        quant_type="nf4",
        dtype=torch.float32,
    )
    parts = {f"weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()}
    return {"weight": packed.reshape(-1, 1), **parts}


def _nf4_configuration(scheme: WeightScheme, ignored: list[str]) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-any-return]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=ignored,
    ).to_dict()


def _llm_int8(layer: Any, rows: slice, factor: float) -> dict[str, Tensor]:
    return {
        "weight": layer.integers[rows],
        "SCB": layer.absmax[rows] / factor,
        "weight_format": torch.tensor(0, dtype=torch.uint8),
    }


def _llm_int8_configuration(scheme: WeightScheme, ignored: list[str]) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-any-return]
        load_in_8bit=True, llm_int8_threshold=OUTLIER_THRESHOLD, llm_int8_skip_modules=ignored
    ).to_dict()


def _quanto(layer: Any, rows: slice, factor: float) -> dict[str, Tensor]:
    from optimum.quanto.tensor.packed import pack_weights

    bits = layer.scheme.weight.bits
    codes, scale, shift = layer.codes[rows], layer.scale[rows] / factor, layer.shift[rows] / factor
    stored = {"input_scale": torch.ones(()), "output_scale": torch.ones(()), "weight._scale": scale.reshape(-1, 1)}
    if bits == 8:
        return stored | {"weight._data": codes}
    groups = codes.reshape(scale.numel(), -1)
    return stored | {"weight._data._data": pack_weights(groups, bits), "weight._shift": shift.reshape(-1, 1)}


_TENSORS: dict[type, Callable[[Any, slice, float], dict[str, Tensor]]] = {
    GroupedLinear: _compressed_tensors,
    Nf4Linear: _nf4,
    LlmInt8Linear: _llm_int8,
    QuantoLinear: _quanto,
}
_CONFIGURATIONS: dict[type, Callable[[WeightScheme, list[str]], dict[str, Any]]] = {
    GroupedLinear: _compressed_tensors_configuration,
    Nf4Linear: _nf4_configuration,
    LlmInt8Linear: _llm_int8_configuration,
}
