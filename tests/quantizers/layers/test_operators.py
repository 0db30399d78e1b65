"""The arithmetic of quantized layers, against ONNX's own definition of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from qasr.quantizers.layers.operators import activation_range, quantize_weight
from qasr.quantizers.layers.quantized import DynamicLinear, StaticLinear


def onnx_node(kind: str, inputs: dict[str, np.ndarray], outputs: int = 1) -> list[np.ndarray]:
    names = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(kind, list(inputs), names)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs.items()
    ]
    graph = helper.make_graph([node], "one", declared, [helper.make_empty_tensor_value_info(name) for name in names])
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])).run(None, inputs)


def test_weights_are_symmetric_per_channel():
    weight = torch.randn(24, 16) * torch.logspace(-3, 1, 24)[:, None]
    integers, scale = quantize_weight(weight)
    assert (integers.shape, integers.dtype, scale.shape) == ((16, 24), torch.int8, (24,))
    assert integers.abs().amax(0).tolist() == [127] * 24
    restored = (integers.float() * scale).t()
    assert ((restored - weight).abs() <= scale[:, None] / 2 + 1e-7).all()


def test_channel_of_zeros_stays_zero():
    weight = torch.randn(4, 8)
    weight[2] = 0
    integers, scale = quantize_weight(weight)
    assert torch.isfinite(scale).all()
    assert (integers[:, 2] == 0).all()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0), (-1e-3, 7.0)])
def test_activation_range_holds_zero_exactly(low, high):
    scale, zero_point = activation_range(low, high)
    assert 0 <= zero_point <= 255
    assert scale > 0
    # The ends are met within half a step.
    assert (0 - zero_point) * scale <= min(low, 0) + scale / 2
    assert (255 - zero_point) * scale >= max(high, 0) - scale / 2


def test_static_linear_is_onnx_quantize_dequantize_matmul():
    linear = nn.Linear(16, 8)
    layer = StaticLinear(linear, (-1.5, 2.5))
    values = torch.randn(5, 16) * 2
    scale = layer.input_scale.numpy()
    (integers,) = onnx_node("QuantizeLinear", {"x": values.numpy(), "s": scale, "z": layer.input_zero_point.numpy()})
    assert integers.dtype == np.uint8
    restored = (integers.astype(np.float32) - float(layer.input_zero_point)) * scale
    expected = restored @ (layer.weight.numpy() * layer.weight_scale.numpy()) + linear.bias.detach().numpy()
    np.testing.assert_allclose(layer(values).numpy(), expected, atol=1e-5)
    assert np.abs(expected - linear(values).detach().numpy()).max() > 1e-3, "nothing was quantized"


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_dynamic_linear_is_onnx_dynamic_quantize_linear(shift):
    linear = nn.Linear(16, 8)
    layer = DynamicLinear(linear)
    values = torch.randn(2, 5, 16) + shift
    integers, scale, zero_point = onnx_node("DynamicQuantizeLinear", {"x": values.numpy()}, outputs=3)
    restored = (integers.astype(np.float32) - float(zero_point)) * scale
    expected = restored @ (layer.weight.numpy() * layer.weight_scale.numpy()) + linear.bias.detach().numpy()
    np.testing.assert_allclose(layer(values).numpy(), expected, atol=1e-4)


def test_dynamic_linear_of_zeros_is_its_bias():
    linear = nn.Linear(4, 3)
    torch.testing.assert_close(DynamicLinear(linear)(torch.zeros(2, 4)), linear.bias.detach().expand(2, 3))


def test_layers_without_bias():
    layer = StaticLinear(nn.Linear(16, 8, bias=False), (-1.0, 1.0))
    assert layer.bias.tolist() == [0.0] * 8
    assert str(layer.scheme) == "int8 weights, static uint8 input"


def test_schemes_are_exported_whole():
    """torch.export must see one operator per layer, or exporters could not translate it."""
    for layer in (DynamicLinear(nn.Linear(16, 8)), StaticLinear(nn.Linear(16, 8), (-1.0, 1.0))):
        program = torch.export.export(layer, (torch.randn(2, 16),))
        names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
        assert names == {f"qasr.{layer.scheme.activation.mode}_linear.default"}
