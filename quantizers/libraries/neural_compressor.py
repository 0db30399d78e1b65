"""Static INT8 with the ranges that Intel Neural Compressor chooses, through its PyTorch path.

https://github.com/intel/neural-compressor, version 3. It exports the model to a graph of aten operators, observes the
inputs of the linear ones on the calibration set, and returns a graph with quantize and dequantize operators. Its
integers, scales and zero points are read into our layers, so that every engine can run them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ...models import CTCModel
from ...quiet import quiet
from ..calibration import CalibrationSet, Work
from ..errors import QuantizationError
from ..layers.quantized import StaticLinear
from ..layers.rewrite import quantizable, replace
from ..options import Quantization

OBSERVER = "Neural Compressor's moving average of minmax"

_DECOMPOSED = "quantized_decomposed"
# They log every step, and on every import what they were built without.
_NOISY = ("neural_compressor", "torchao", "torch")


@dataclass(frozen=True)
class Notes:
    """For the manifest."""

    observer: str = OBSERVER


def apply(model: CTCModel, quantization: Quantization, work: Work) -> Notes:
    """Replace every chosen Linear by a StaticLinear with Neural Compressor's integers and scales.

    Raises QuantizationError for options of other methods, or where its graph is not as expected.
    """
    calibration = work.need_calibration("static quantization")
    check(model, quantization, calibration)
    linears = dict(quantizable(model, quantization.exclude))
    with quiet(*_NOISY, stdout=True):
        graph = _compress(model, set(linears), calibration)
    layers = dict(_layers(graph))
    if set(layers) != set(linears):
        different = sorted(set(layers) ^ set(linears))
        raise QuantizationError(f"Neural Compressor quantized other layers than requested: {', '.join(different[:3])}")
    for name, layer in layers.items():
        replace(model, name, layer)
    return Notes()


def check(model: CTCModel, quantization: Quantization, calibration: CalibrationSet | None) -> None:
    """Raise QuantizationError for options that Neural Compressor does not have."""
    if quantization.ranges.observer != "minmax" or quantization.outputs:
        raise QuantizationError("Neural Compressor observes inputs in its own way; leave --observer out")


def _compress(model: CTCModel, chosen: set[str], calibration: CalibrationSet) -> torch.fx.GraphModule:
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import StaticQuantConfig, convert, prepare

    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    frames = torch.export.Dim("frames", min=model.fewest_dynamic_frames, max=1 << 20)
    shapes = {"inputs": {0: batch, 1: frames}, "lengths": {0: batch}}
    example = model.example_inputs(2, model.example_frames)
    graph = export(model, example_inputs=example, dynamic_shapes=shapes)
    if graph is None:
        raise QuantizationError("Neural Compressor could not export this model")
    config = StaticQuantConfig()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name not in chosen:
            config.set_local(name, StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
    prepared = prepare(graph, quant_config=config)
    with torch.no_grad():
        for inputs in calibration.inputs():
            prepared(*inputs)
    return convert(prepared)  # type: ignore[no-any-return]


def _layers(graph: torch.fx.GraphModule) -> Iterator[tuple[str, StaticLinear]]:
    """Each quantized linear operator of the graph, by the name of its module in the model."""
    for node in graph.graph.nodes:
        if node.target is not torch.ops.aten.linear.default or not _is(node.args[1], "dequantize_per_channel"):
            continue
        restored, rounded = node.args[0], node.args[1].args[0]
        if not _is(restored, "dequantize_per_tensor") or not _is(rounded, "quantize_per_channel"):
            raise QuantizationError(f"Neural Compressor's graph has an unknown layout at {node.name}")
        _, input_scale, input_zero_point, *_ = restored.args
        weight, scale, zero_point, *rest = (_value(graph, argument) for argument in rounded.args)
        if torch.count_nonzero(zero_point):
            raise QuantizationError(f"Neural Compressor's weights at {node.name} are not symmetric")
        integers = torch.ops.quantized_decomposed.quantize_per_channel(weight, scale, zero_point, *rest)
        bias = _value(graph, node.args[2]) if len(node.args) > 2 and node.args[2] is not None else None
        name = str(rounded.args[0].target).removesuffix(".weight")
        yield name, StaticLinear.of(integers, scale, bias, float(input_scale), int(input_zero_point))


def _is(node: Any, operator: str) -> bool:
    return isinstance(node, torch.fx.Node) and str(node.target).startswith(f"{_DECOMPOSED}.{operator}.")


def _value(graph: torch.fx.GraphModule, argument: Any) -> Any:
    """The tensor of a get_attr node; anything else unchanged."""
    if not isinstance(argument, torch.fx.Node):
        return argument
    if argument.op != "get_attr":
        raise QuantizationError(f"Neural Compressor's graph computes {argument.name}, which should be stored")
    value: Any = graph
    for part in str(argument.target).split("."):
        value = getattr(value, part)
    return value.detach()
