"""What OpenVINO's CPU plugin does slowly in the ONNX graph, written another way. Each rewrite computes the same.

The gain of each is in docs/performance.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

# Below this a Convert takes as much as it saves.
_LEAST_VALUES = 64


def apply(model: ov.Model) -> None:
    """All rewrites, in place."""
    gather_rows(model)
    weights_by_output(model)
    split_gates(model)
    round_before_transpose(model)


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
        _replace(node.output(0), picked.output(0))
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
        product = _linear(node.input_value(0), integers.T, scale)
        product.set_friendly_name(node.get_friendly_name())
        _replace(node.output(0), product.output(0))
    model.validate_nodes_and_infer_types()


def split_gates(model: ov.Model) -> None:
    """Compute each half of a gated linear unit by its own product, with half of the 8-bit weights.

    The plugin would move the dequantization behind the Split: two more passes over both halves, and a copy.
    """
    for split in model.get_ordered_ops():
        if split.get_type_name() != "Split" or split.get_attributes()["num_splits"] != 2:
            continue
        add = split.input_value(0).get_node()
        product = add.input_value(0).get_node()
        weight = _integer_weight(product) if product.get_type_name() == "MatMul" else None
        if weight is None or not product.get_attributes()["transpose_b"]:
            continue
        integers, scale = weight
        bias = add.input_value(1).get_node().data.reshape(-1)
        half = bias.size // 2
        for index, rows in enumerate((slice(0, half), slice(half, None))):
            linear = _linear(product.input_value(0), integers[rows], scale.reshape(-1)[rows])
            _replace(split.output(index), op.add(linear, op.constant(bias[rows].reshape(1, 1, -1).copy())).output(0))
    model.validate_nodes_and_infer_types()


def round_before_transpose(model: ov.Model) -> None:
    """Round attention's output as it comes out of the fused attention, and transpose bytes instead of floats."""
    for rounding in model.get_ordered_ops():
        if rounding.get_type_name() != "FakeQuantize":
            continue
        transpose = reshape = rounding.input_value(0).get_node()
        if reshape.get_type_name() == "Reshape":
            transpose = reshape.input_value(0).get_node()
        converts = [target.get_node() for target in rounding.output(0).get_target_inputs()]
        if transpose.get_type_name() != "Transpose" or [node.get_type_name() for node in converts] != ["Convert"]:
            continue
        limits = [rounding.input_value(index) for index in range(1, 5)]
        early = op.fake_quantize(transpose.input_value(0), *limits, rounding.get_attributes()["levels"])
        integers = op.convert(early, converts[0].get_element_type().to_string())
        turned = op.transpose(integers, transpose.input_value(1))
        if reshape is not transpose:
            turned = op.reshape(turned, reshape.input_value(1), reshape.get_attributes()["special_zero"])
        _replace(converts[0].output(0), turned.output(0))
    model.validate_nodes_and_infer_types()


def four_bit_weights(model: ov.Model, group_size: int, *, mixed: bool = False) -> None:
    """Store 8-bit weights (out, in) as 4-bit ones times a whole number for each group.

    OpenVINO multiplies them out when it compiles the model, and computes as with 8-bit weights. A group's number is
    the greatest common divisor of its integers. Raises ValueError for other weights, unless the model is ``mixed``:
    then they are left unchanged.
    """
    for node in model.get_ordered_ops():
        weight = _integer_weight(node) if node.get_type_name() == "MatMul" else None
        if weight is None:
            continue
        integers, scale = weight
        groups = integers.reshape(integers.shape[0], -1, group_size)
        multiples = np.maximum(np.gcd.reduce(groups, axis=-1, keepdims=True), 1).astype(np.int8)
        codes = groups // multiples
        if codes.min() < -8 or codes.max() > 7:
            if mixed:
                continue
            raise ValueError("weights that are not 4-bit integers times whole numbers")
        eight = op.multiply(op.convert(op.constant(codes, dtype=ov.Type.i4), "i8"), op.constant(multiples))
        stored = op.reshape(eight, op.constant(np.array(integers.shape)), False)
        product = _scaled_product(node.input_value(0), stored, scale)
        product.set_friendly_name(node.get_friendly_name())
        _replace(node.output(0), product.output(0))
    model.validate_nodes_and_infer_types()


def store_narrow(model: ov.Model) -> None:
    """Store floats as float16 where no value changes, in place; they are widened when the model is compiled.

    OpenVINO's own compression skips models that have 8-bit inputs.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.f32:
            continue
        wide = node.data
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float16)
        if wide.size >= _LEAST_VALUES and np.array_equal(narrow.astype(np.float32), wide):
            widened = op.convert(op.constant(narrow), "f32")
            _replace(node.output(0), widened.output(0))
    model.validate_nodes_and_infer_types()


def _linear(values: ov.Output, integers: np.ndarray[Any, Any], scale: np.ndarray[Any, Any]) -> ov.Node:
    """A product with 8-bit weights (out, in) and their scales (out,), in the layout that the plugin fuses."""
    return _scaled_product(values, op.constant(np.ascontiguousarray(integers)), scale)


def _scaled_product(values: ov.Output, stored: ov.Node, scale: np.ndarray[Any, Any]) -> ov.Node:
    """A product whose integers (out, in) come from the node ``stored``."""
    scaled = op.multiply(op.convert(stored, "f32"), op.constant(scale.reshape(-1, 1).copy()))
    return op.matmul(values, scaled, False, True)


def _replace(old: ov.Output, new: ov.Output) -> None:
    for target in old.get_target_inputs():
        target.replace_source_output(new)


def _integer_weight(matmul: ov.Node) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Integers (in, out) and scales (out,) of a MatMul whose second input ONNX's DequantizeLinear gave; else None."""
    multiply = matmul.input_value(1).get_node()
    if multiply.get_type_name() != "Multiply":
        return None
    convert, scale = (multiply.input_value(index).get_node() for index in (0, 1))
    if scale.get_type_name() == "Reshape":
        scale = scale.input_value(0).get_node()
    if convert.get_type_name() != "Convert" or scale.get_type_name() != "Constant":
        return None
    integers = convert.input_value(0).get_node()
    if integers.get_type_name() != "Constant" or integers.get_element_type() != ov.Type.i8:
        return None
    return integers.data, scale.data
