"""Bits by layer: the budget is kept, and spent where it helps."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qasr.quantizers import Quantization, QuantizationError, WeightScheme
from qasr.quantizers.layers.grouped import GroupedLinear

INT2 = WeightScheme(2, False, 64)


@pytest.fixture
def calibration(real_calibration):
    return dataclasses.replace(real_calibration, seconds=60.0)


def mean_bits(model):
    layers = [module for module in model.modules() if isinstance(module, GroupedLinear)]
    weights = sum(layer.codes.numel() for layer in layers)
    return sum(layer.scheme.weight.bits * layer.codes.numel() for layer in layers) / weights


@pytest.mark.parametrize("budget", [2.25, 2.5, 3.0])
def test_budget_is_kept(quantized, make_model, calibration, budget):
    model = quantized("mse", make_model(), Quantization(weight=INT2, bits_budget=budget), calibration)
    assert budget - 0.05 < mean_bits(model) <= budget
    noted = quantized.notes["bits"]
    assert len(noted) == 32
    for name, bits in noted.items():
        layer = model.get_submodule(name)
        assert layer.scheme.weight.bits == bits
        assert int(layer.codes.max()) < 2**bits


def test_bits_go_where_they_help(quantized, make_model, calibration, logits_of, error_of):
    """The same number of bits, given to the layers that lose least instead."""
    expected = logits_of(make_model())
    options = Quantization(weight=INT2, bits_budget=2.5)
    chosen = quantized("mse", make_model(), options, calibration)
    bits = quantized.notes["bits"]
    last = {name: 4 for name in bits if bits[name] == 2}
    others = quantized("mse", make_model(), Quantization(weight=INT2, bits_by_layer=last), None)
    none = quantized("mse", make_model(), Quantization(weight=INT2), None)
    assert mean_bits(others) > mean_bits(chosen)
    assert error_of(chosen, expected) < 0.6 * error_of(none, expected)
    assert error_of(chosen, expected) < 0.7 * error_of(others, expected)


def test_gptq_takes_the_budget_too(quantized, make_model, calibration):
    model = quantized("gptq", make_model(), Quantization(weight=INT2, bits_budget=2.5), calibration)
    assert 2.45 < mean_bits(model) <= 2.5


def test_refused(quantized, make_model, calibration):
    with pytest.raises(QuantizationError, match="a budget of 5 bits is not between 2 and 4"):
        quantized("mse", make_model(), Quantization(weight=INT2, bits_budget=5.0), calibration)
    with pytest.raises(QuantizationError, match="a budget of bits needs calibration audio"):
        quantized("mse", make_model(), Quantization(weight=INT2, bits_budget=2.5), None)


def test_original_weights_are_left(quantized, make_model, calibration):
    """The sensitivity report quantizes a twin; the layers that stay float must be as they were."""
    options = Quantization(weight=INT2, bits_budget=2.5)
    model, original = quantized("mse", make_model(), options, calibration), make_model()
    assert torch.equal(model.heads.weight, original.heads.weight)
    assert torch.equal(model.layers[1].ffn1_norm.weight, original.layers[1].ffn1_norm.weight)
