"""Inputs of weight-only layers, rounded by group or by calibration."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.quantizers import Quantization, QuantizationError, WeightScheme
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.layers.operators import round_by_group
from qasr.quantizers.layers.quantized import StaticLinear

TWO_LEVELS = WeightScheme(4, True, 64, two_level=True)


def test_rounding_by_group_by_hand():
    values = torch.tensor([[1.27, 0.005, -0.3, 0.0, 127.0, 0.4, -12.6, 63.5], [0.0] * 8])
    rounded = round_by_group(values, 2)
    # Steps of 0.01 in the first group, of 1 in the second; halves go to the even step.
    assert torch.allclose(rounded[0], torch.tensor([1.27, 0.0, -0.3, 0.0, 127.0, 0.0, -13.0, 64.0]))
    assert torch.equal(rounded[1], torch.zeros(8))


def test_grouped_linear_computes_what_its_scheme_says():
    codes = torch.tensor([[3, 0, 1, 2], [0, 1, 2, 3]], dtype=torch.uint8)
    scale, zero_point = torch.tensor([[0.5, 1.0], [2.0, 0.25]]), torch.tensor([[1, 2], [0, 3]], dtype=torch.uint8)
    layer = GroupedLinear(codes, scale, zero_point, torch.tensor([1.0, -1.0]), WeightScheme(2, False, 2))
    assert layer.weight.tolist() == [[1.0, -0.5, -1.0, 0.0], [0.0, 2.0, -0.25, 0.0]]
    assert layer(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).tolist() == [[-2.0, 2.25]]
    assert str(layer.scheme) == "uint2 in groups of 2 weights, float input"


def test_grouped_inputs(quantized, make_model, real_clips):
    model = quantized("rtn", make_model(), Quantization(weight=WeightScheme(4, False, 64), activation="grouped"), None)
    layer = model.layers[0].ffn1.intermediate
    assert str(layer.scheme) == "uint4 in groups of 64 weights, grouped int8 input"
    rows = torch.randn(5, 192, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.linear(round_by_group(rows, 3), layer.weight, layer.bias)
    assert torch.equal(layer(rows), expected)


def test_static_inputs_make_8_bit_layers_of_4_bit_weights(quantized, make_model, real_calibration, logits_of, error_of):
    weight_only = quantized("rtn", make_model(), Quantization(weight=TWO_LEVELS), None)
    model = quantized("rtn", make_model(), Quantization(weight=TWO_LEVELS, activation="static"), real_calibration)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, StaticLinear)}
    assert len(layers) == 32
    for name, layer in layers.items():
        assert str(layer.scheme) == "int4 in groups of 64 weights, static uint8 input"
        values = layer.weight.t().float() * layer.weight_scale[:, None]
        assert torch.allclose(values, weight_only.get_submodule(name).weight, atol=1e-6)
        groups = layer.weight.t().reshape(layer.weight.shape[1], -1, 64)
        steps = torch.gcd(groups[..., :32], groups[..., 32:]).amax(-1)  # no 8-bit weights in disguise of 4
        assert steps.shape == groups.shape[:2]
        assert all(len(group.unique()) <= 16 for row in groups[:4] for group in row)
    expected = logits_of(make_model())
    assert error_of(model, expected) < 1.5 * error_of(weight_only, expected)


def test_static_inputs_need_calibration_and_two_levels(quantized, make_model, real_calibration):
    with pytest.raises(QuantizationError, match="needs calibration audio"):
        quantized("rtn", make_model(), Quantization(weight=TWO_LEVELS, activation="static"), None)
    with pytest.raises(QuantizationError, match="multiples of a channel's"):
        quantized(
            "rtn", make_model(), Quantization(weight=WeightScheme(4, True, 64), activation="static"), real_calibration
        )
