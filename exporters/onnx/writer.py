"""ONNX: the float graph with the quantized layers translated, dynamic in batch and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from ...artifacts import Precision
from ...models import Checkpoint, CTCModel
from ...quantizers.layers.grouped import GroupedLinear
from ...quantizers.layers.quantized import Quantized
from ...quantizers.layers.rewrite import replace
from ...quiet import quiet
from ..errors import ExportError
from ..target import Target
from ..trace import dynamic_shapes, example_inputs
from .files import DATA_FILE, MODEL_FILE
from .narrow import store_narrow
from .packing import PackedLinear
from .translation import KernelLinear, table

# 18 is the newest opset whose 8-bit MatMuls all engines fuse.
_OPSET = 18
_INTEGER_KERNELS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "MatMulInteger", "MatMulNBits")
# A protobuf file ends at 2 GB; above this the weights go to a file of their own.
_EXTERNAL_ABOVE_BYTES = 1 << 30


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``model.onnx`` (and ``model.onnx_data`` above 1 GiB): the front end's two inputs, one output per level.

    The model's float Linears are replaced, so it is of no use afterwards.
    """
    layers = quantized_layers(model)
    graph = trace(model)
    if target.storage == "float16":
        store_narrow(graph)
    return save(graph, target, layers, folder)


def save(graph: ir.Model, target: Target, layers: int, folder: Path) -> Precision:
    """Write ``model.onnx``, and ``model.onnx_data`` beside it above 1 GiB, of a model with ``layers`` quantized."""
    stored = sum(
        value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value is not None
    )
    external = DATA_FILE if stored > _EXTERNAL_ABOVE_BYTES else None
    ir.save(graph, folder / MODEL_FILE, external_data=external)
    return Precision(
        requested=target.precision,
        weight_bytes=_weight_bytes(graph),
        operators=_operators(graph),
        kernels={},
        quantized_layers=layers,
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Fused or not, what multiplies integers in ONNX Runtime."""
    return sum(kernels.get(name, 0) for name in _INTEGER_KERNELS)


def trace(model: CTCModel) -> ir.Model:
    """The model's ONNX graph; the model's float Linears are replaced on the way. Raises ExportError."""
    program = _export(_with_exported_linears(model))
    graph: ir.Model = program.model
    _narrow_index(graph)
    _halve_scales(graph)
    _strip(graph)
    return graph


def quantized_layers(model: nn.Module) -> int:
    """How many layers carry a scheme."""
    return sum(isinstance(module, Quantized) for module in model.modules())


def export_layer(layer: nn.Module, rows: torch.Tensor, path: Path) -> None:
    """Write one layer as it is in a model's graph, for inputs of the shape of ``rows``. Raises ExportError."""
    exported = _exported_layer(layer) or layer
    ir.save(_run_exporter(exported, (rows,), input_names=["rows"], output_names=["product"]).model, path)


def _export(model: CTCModel) -> Any:
    return _run_exporter(
        model,
        example_inputs(model),
        input_names=list(model.front_end.input_names),
        output_names=list(model.levels),
        dynamic_shapes=dynamic_shapes(model),
    )


def _run_exporter(model: nn.Module, example: tuple[torch.Tensor, ...], **options: Any) -> Any:
    # The exporter reports its steps on stdout, and through warnings about torch's own internals.
    with quiet("torch.onnx", "onnxscript", stdout=True):
        try:
            program = torch.onnx.export(
                model,
                example,
                dynamo=True,
                opset_version=_OPSET,
                custom_translation_table=table(),
                verbose=False,
                **options,
            )
        except (torch.onnx.errors.OnnxExporterError, torch._dynamo.exc.TorchDynamoException) as error:
            raise ExportError(
                f"torch.onnx could not export this model ({str(error).strip().splitlines()[0]})"
            ) from error
    if program is None:
        raise ExportError("torch.onnx gave no program for this model")
    return program


def _with_exported_linears(model: CTCModel) -> CTCModel:
    for name, module in list(model.named_modules()):
        exported = _exported_layer(module)
        if exported is not None:
            replace(model, name, exported)
    return model


def _exported_layer(layer: nn.Module) -> nn.Module | None:
    """The layer with its weights in ONNX's layout; None where it is exported unchanged."""
    if isinstance(layer, nn.Linear):
        return KernelLinear(layer)
    return PackedLinear(layer) if isinstance(layer, GroupedLinear) else None


def _narrow_index(model: ir.Model) -> None:
    """Broadcast the relative-key index over batch and heads as int32: at 30 s of audio it takes 144 MB, not 288.

    torch gathers by int64 only, so the exporter writes int64.
    """
    gathered = {node.inputs[1]: None for node in model.graph if node.op_type == "GatherElements"}
    for indices in gathered:
        expand = indices.producer() if indices is not None else None
        index = expand.inputs[0] if expand is not None else None
        if expand is None or index is None or indices is None:
            raise ExportError("the exported graph broadcasts its relative-key index in an unknown way")
        cast = ir.node("Cast", [index], {"to": ir.DataType.INT32})
        narrow = cast.outputs[0]
        narrow.name, narrow.shape, narrow.type = f"{index.name}_int32", index.shape, ir.TensorType(ir.DataType.INT32)
        model.graph.insert_before(expand, cast)
        expand.replace_input_with(0, narrow)
        indices.type = narrow.type


def _halve_scales(model: ir.Model) -> None:
    """Store scales and float zero points of MatMulNBits as float16, whose values they are; the engine widens them.

    The operator takes them in the type of its input only, and of small models the exporter folds the widening into the
    file.
    """
    inputs = [value for node in model.graph if node.op_type == "MatMulNBits" for value in node.inputs[2:4]]
    floats = (value for value in inputs if value is not None and value.dtype == ir.DataType.FLOAT)
    for wide in dict.fromkeys(value for value in floats if value.is_initializer()):
        assert wide.const_value is not None and wide.name is not None
        half = ir.Value(name=f"{wide.name}_half", shape=wide.shape, type=ir.TensorType(ir.DataType.FLOAT16))
        half.const_value = ir.tensor(wide.const_value.numpy().astype(np.float16), name=half.name)
        model.graph.register_initializer(half)
        cast = ir.node("Cast", [half], {"to": ir.DataType.FLOAT})
        cast.outputs[0].name = f"{wide.name}_wide"
        model.graph.insert_before(model.graph[0], cast)
        ir.convenience.replace_all_uses_with(wide, cast.outputs[0])
        del model.graph.initializers[wide.name]


def _strip(model: ir.Model) -> None:
    """Remove what differs between machines: stack traces with paths, and the names of Python classes."""
    model.producer_name, model.producer_version = "qasr", None
    model.metadata_props.clear()
    model.doc_string = None
    graph = model.graph
    graph.metadata_props.clear()
    graph.doc_string = None
    graph.name = "qasr"
    values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
    for node in graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        values.extend(node.outputs)
    for value in values:
        value.metadata_props.clear()
        value.doc_string = None


def _weight_bytes(model: ir.Model) -> dict[str, int]:
    stored: Counter[str] = Counter()
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            stored[value.const_value.dtype.name.lower()] += value.const_value.nbytes
    return dict(sorted(stored.items()))


def _operators(model: ir.Model) -> dict[str, int]:
    return dict(sorted(Counter(node.op_type for node in model.graph.all_nodes()).items()))
