"""Floats stored in 16 bits and widened when the graph is loaded, by a Cast that engines fold away."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

# Below this the Cast takes as much as it saves.
_LEAST_VALUES = 64


def store_narrow(model: ir.Model) -> None:
    """Store every float32 initializer as float16 where no value changes, in place."""
    graph = model.graph
    for name, value in list(graph.initializers.items()):
        if value.const_value is None or value.dtype != ir.DataType.FLOAT:
            continue
        wide = value.const_value.numpy()
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float16)
        if wide.size < _LEAST_VALUES or not np.array_equal(narrow.astype(np.float32), wide):
            continue
        stored = ir.Value(name=f"{name}_fp16", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT16))
        stored.const_value = ir.tensor(narrow, name=stored.name)
        graph.register_initializer(stored)
        cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT})
        widened = cast.outputs[0]
        widened.name, widened.shape, widened.type = f"{name}_fp32", value.shape, value.type
        for node, index in list(value.uses()):
            node.replace_input_with(index, widened)
        del graph.initializers[name]
        graph.insert_before(graph[0], cast)
