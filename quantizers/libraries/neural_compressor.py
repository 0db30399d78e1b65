"""Static INT8 as Intel Neural Compressor chooses it, through its PyTorch path: a library's own ranges beside ours.

https://github.com/intel/neural-compressor, version 3. It exports the model to a graph of aten operators, observes the
inputs of the linear ones on the calibration set, and gives a graph with quantize and dequantize operators. What it
fixed (integers, scales, zero points) is read from there into our layers, so that every engine can take it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from ...models import DeployableCTC
from ..layers.quantized import StaticLinear
from ..technique import CalibrationSet, Options, QuantizationError, quantizable, replace

OBSERVER = "Neural Compressor's moving average of minmax"

_DECOMPOSED = "quantized_decomposed"


def inc(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Replace every chosen Linear by a StaticLinear with Neural Compressor's integers and scales.

    Raises QuantizationError for options that are not its own, or where its graph is not as expected.
    """
    if calibration is None:
        raise QuantizationError("static quantization needs calibration audio; name it with --calibration")
    if options.observer != "minmax" or options.outputs:
        raise QuantizationError("Neural Compressor observes inputs in its own way; leave --observer out")
    linears = dict(quantizable(model, options.exclude))
    with _quiet():
        graph = _compress(model, set(linears), calibration)
    found = dict(_layers(graph))
    if set(found) != set(linears):
        different = sorted(set(found) ^ set(linears))
        raise QuantizationError(f"Neural Compressor quantized other layers than asked for: {', '.join(different[:3])}")
    for name, layer in found.items():
        replace(model, name, layer)
    model.notes["observer"] = OBSERVER
    return model


def _compress(model: DeployableCTC, chosen: set[str], calibration: CalibrationSet) -> torch.fx.GraphModule:
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import StaticQuantConfig, convert, prepare

    batch, frames = torch.export.Dim("batch", min=1, max=1 << 16), torch.export.Dim("frames", min=2, max=1 << 20)
    example = (torch.zeros(2, 64, model.feature_size), torch.tensor([64, 33]))
    shapes = {"features": {0: batch, 1: frames}, "lengths": {0: batch}}
    graph = export(model, example_inputs=example, dynamic_shapes=shapes)
    if graph is None:
        raise QuantizationError("Neural Compressor could not export this model")
    config = StaticQuantConfig()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name not in chosen:
            config.set_local(name, StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
    prepared = prepare(graph, quant_config=config)
    with torch.no_grad():
        for features in calibration.features():
            prepared(features, torch.tensor([features.shape[1]]))
    return convert(prepared)  # type: ignore[no-any-return]


def _layers(graph: torch.fx.GraphModule) -> Iterator[tuple[str, StaticLinear]]:
    """Each quantized linear operator of the graph, by the name of the module that it came from."""
    for node in graph.graph.nodes:
        if node.target is not torch.ops.aten.linear.default or not _is(node.args[1], "dequantize_per_channel"):
            continue
        restored, rounded = node.args[0], node.args[1].args[0]
        if not _is(restored, "dequantize_per_tensor") or not _is(rounded, "quantize_per_channel"):
            raise QuantizationError(f"Neural Compressor's graph has an unknown form at {node.name}")
        _, input_scale, input_zero_point, *_ = restored.args
        place, scale, zero_point, *rest = (_value(graph, argument) for argument in rounded.args)
        if torch.count_nonzero(zero_point):
            raise QuantizationError(f"Neural Compressor's weights at {node.name} are not symmetric")
        integers = torch.ops.quantized_decomposed.quantize_per_channel(place, scale, zero_point, *rest)
        bias = _value(graph, node.args[2]) if len(node.args) > 2 and node.args[2] is not None else None
        name = str(rounded.args[0].target).removesuffix(".weight")
        yield name, StaticLinear.of(integers, scale, bias, float(input_scale), int(input_zero_point))


def _is(node: Any, operator: str) -> bool:
    return isinstance(node, torch.fx.Node) and str(node.target).startswith(f"{_DECOMPOSED}.{operator}.")


def _value(graph: torch.fx.GraphModule, argument: Any) -> Any:
    """The tensor behind a get_attr node; anything else as it is."""
    if not isinstance(argument, torch.fx.Node):
        return argument
    if argument.op != "get_attr":
        raise QuantizationError(f"Neural Compressor's graph computes {argument.name}, which should be stored")
    value: Any = graph
    for part in str(argument.target).split("."):
        value = getattr(value, part)
    return value.detach()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neural Compressor and torchao tell every step of theirs, and what they were built without, on every import."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(previous)
