"""OpenVINO: the common ONNX graph, read by OpenVINO, with what its CPU plugin does slowly written another way."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import openvino as ov
from openvino import opset13 as op

from ..artifacts import Precision
from ..models import DeployableCTC
from . import onnx
from .errors import ExportError
from .targets import Target

MODEL_FILE = "openvino_model.xml"


def write(model: DeployableCTC, target: Target, folder: Path) -> Precision:
    """Write ``openvino_model.xml`` and ``.bin``; inputs and outputs are those of the ONNX model.

    Float weights are stored as ``target.storage``. The model serves for nothing else afterwards.
    """
    layers = onnx.quantized_layers(model)
    graph = onnx.trace(model)
    with tempfile.TemporaryDirectory(prefix="qasr-", dir=folder.parent) as scratch:
        path = Path(scratch) / "model.onnx"
        ir.save(graph, path, external_data="model.onnx_data")
        del graph
        try:
            converted = ov.Core().read_model(path)
        except RuntimeError as error:
            raise ExportError(f"OpenVINO could not read this model's ONNX graph ({_last_line(error)})") from error
        gather_rows(converted)
        weights_by_output(converted)
        _rename(converted)
        ov.save_model(converted, folder / MODEL_FILE, compress_to_fp16=target.storage == "float16")
    return Precision(
        asked=target.precision,
        weight_bytes=_weight_bytes(folder / MODEL_FILE),
        operators=dict(sorted(Counter(node.get_type_name() for node in converted.get_ops()).items())),
        kernels={},
        quantized_layers=layers,
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Matrix products of 8-bit integers, and those that widen 8-bit weights as they read them.

    As the CPU plugin names them: FullyConnected:brgemm_avx512_I8 and FullyConnectedCompressed:brgemm_avx512_bf16.
    """
    return sum(
        count
        for name, count in kernels.items()
        if name.startswith("FullyConnectedCompressed:")
        or (name.startswith(("FullyConnected:", "MatMul:")) and name.lower().endswith(("_i8", "_u8")))
    )


def gather_rows(model: ov.Model) -> None:
    """Take the relative-key bias by Gather instead of GatherElements, with one int32 index for all layers.

    GatherElements is reference code in the CPU plugin; Gather over the same rows is vectorized, two to three times as
    fast. The values are the same.
    """
    index: Any = None
    for node in model.get_ordered_ops():
        if node.get_type_name() != "GatherElements":
            continue
        scores = node.input_value(0)  # (B, heads, T, distances)
        if index is None:
            # (T, T) int64, before the exporter's Broadcast over batch and heads.
            pairs = node.input_value(1).get_node()
            while pairs.get_type_name() in {"Broadcast", "Convert"}:
                pairs = pairs.input_value(0).get_node()
            batch_heads_frames = op.gather(
                op.shape_of(scores, "i32"), op.constant(np.array([0, 1, 2], np.int32)), op.constant(0)
            )
            frames = op.gather(batch_heads_frames, op.constant(np.array([2], np.int32)), op.constant(0))
            index = op.broadcast(op.convert(pairs, "i32"), op.concat([batch_heads_frames, frames], 0))
        picked = op.gather(scores, index, op.constant(3), 3)
        for target in node.output(0).get_target_inputs():
            target.replace_source_output(picked.output(0))
    model.validate_nodes_and_infer_types()


def weights_by_output(model: ov.Model) -> None:
    """Store the 8-bit weights (out, in), as the CPU plugin takes them; it would transpose each at every load."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.get_attributes().get("transpose_b"):
            continue
        weight = _integer_weight(node)
        if weight is None:
            continue
        integers, scale = weight
        restored = op.multiply(
            op.convert(op.constant(np.ascontiguousarray(integers.T)), "f32"), op.constant(scale.reshape(-1, 1))
        )
        product = op.matmul(node.input_value(0), restored, False, True)
        product.set_friendly_name(node.get_friendly_name())
        for target in node.output(0).get_target_inputs():
            target.replace_source_output(product.output(0))
    model.validate_nodes_and_infer_types()


def _rename(model: ov.Model) -> None:
    """Name nodes by their place: OpenVINO counts through a whole process, so a second export would differ."""
    model.set_friendly_name("qasr")
    for place, node in enumerate(model.get_ordered_ops()):
        if node.get_type_name() not in {"Parameter", "Result"}:
            node.set_friendly_name(f"{node.get_type_name()}_{place}")


def _integer_weight(matmul: ov.Node) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Integers (in, out) and scales (out,) of a MatMul whose second input ONNX's DequantizeLinear gave; else None."""
    multiply = matmul.input_value(1).get_node()
    if multiply.get_type_name() != "Multiply":
        return None
    convert, scale = (multiply.input_value(place).get_node() for place in (0, 1))
    if scale.get_type_name() == "Reshape":
        scale = scale.input_value(0).get_node()
    if convert.get_type_name() != "Convert" or scale.get_type_name() != "Constant":
        return None
    integers = convert.input_value(0).get_node()
    if integers.get_type_name() != "Constant" or integers.get_element_type() != ov.Type.i8:
        return None
    return integers.data, scale.data


def _weight_bytes(path: Path) -> dict[str, int]:
    stored: Counter[str] = Counter()
    for node in ov.Core().read_model(path).get_ops():
        if node.get_type_name() == "Constant":
            stored[node.get_element_type().get_type_name()] += node.get_byte_size()
    return dict(sorted(stored.items()))


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
