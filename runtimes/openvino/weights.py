"""8-bit weights that are stored as 4-bit codes and multiples, multiplied before OpenVINO compiles the model.

Its CPU plugin would do the same with intermediate copies of every weight: 5 GB for 580 million weights.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op


def multiplied_out(core: ov.Core, path: Path, cache: Path | None) -> Path | ov.Model:
    """The model at ``path`` with 8-bit weights. It is kept in ``cache``, if there is one, and read from there again."""
    kept = None if cache is None else cache / "int8" / path.name
    if kept is not None and kept.is_file():
        return kept
    model = core.read_model(path)
    multiply_out(model)
    if kept is None:
        return model
    kept.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="int8-", dir=kept.parent.parent) as scratch:
        ov.save_model(model, Path(scratch) / "int8" / path.name, compress_to_fp16=False)
        # Another process may have been faster; its result is the same.
        with contextlib.suppress(OSError):
            (Path(scratch) / "int8").rename(kept.parent)
    return kept


def multiply_out(model: ov.Model) -> int:
    """Replace Reshape(Convert(int4 codes) · int8 multiples) by its int8 values, in place, and return how many."""
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.i4:
            continue
        multiply = _only_target(_only_target(node))
        reshape = _only_target(multiply)
        multiples = multiply.input_value(1).get_node().data
        values = _codes(node) * multiples
        weight = op.constant(values.reshape(tuple(reshape.get_output_shape(0))))
        weight.set_friendly_name(reshape.get_friendly_name())
        for target in reshape.output(0).get_target_inputs():
            target.replace_source_output(weight.output(0))
        count += 1
    return count


def _only_target(node: ov.Node) -> Any:
    (target,) = node.output(0).get_target_inputs()
    return target.get_node()


def _codes(constant: ov.Node) -> NDArray[np.int8]:
    """Values of an int4 constant: two in each byte, the first in the low half."""
    packed = constant.data.view(np.int8)
    codes = np.empty((packed.size, 2), np.int8)
    np.left_shift(packed, 4, out=codes[:, 0])
    codes[:, 0] >>= 4
    np.right_shift(packed, 4, out=codes[:, 1])
    return codes.reshape(-1)[: np.prod(constant.get_output_shape(0))].reshape(tuple(constant.get_output_shape(0)))
