"""HQQ: float zero points, by hand and against the grids that need no data either."""

from __future__ import annotations

import pytest
import torch

from qasr.quantizers import Quantization, QuantizationError, WeightScheme
from qasr.quantizers.layers.grid import by_range
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.techniques.hqq import hqq_codes

INT2 = WeightScheme(2, False, 64)
INT4 = WeightScheme(4, False, 64)


def values(weight, scheme):
    codes, scale, zero_point = hqq_codes(weight, scheme)
    return GroupedLinear(codes, scale, zero_point, None, scheme).weight


def weights(rows=64, inputs=128):
    return 0.01 * torch.randn(rows, inputs, generator=torch.Generator().manual_seed(0))


def test_a_zero_point_between_codes_is_found():
    """Values 1.25 steps beside 0: no integer zero point holds them, a float one holds them exactly."""
    weight = 0.5 * (torch.tensor([[0.0, 1.0, 2.0, 3.0] * 4]) - 1.25)
    scheme = WeightScheme(2, False, 16)
    codes, scale, zero_point = hqq_codes(weight, scheme)
    assert (scale.tolist(), zero_point.tolist()) == ([[0.5]], [[1.25]])
    assert codes.tolist() == [[0, 1, 2, 3] * 4]
    assert torch.equal(values(weight, scheme), weight)
    grid = by_range(weight, scheme)
    assert float((grid.values(weight, 2) - weight).abs().max()) == pytest.approx(0.125)


@pytest.mark.parametrize("scheme", [INT2, INT4], ids=["int2", "int4"])
def test_most_weights_err_less(scheme):
    """The norm that it presses, and half of the weights, against the whole range with a whole zero point."""
    weight = weights()
    ours, rounded = ((each - weight).abs() for each in (values(weight, scheme), _by_range(weight, scheme)))
    assert float(ours.pow(0.7).sum()) < 0.97 * float(rounded.pow(0.7).sum())
    assert float(ours.median()) < float(rounded.median())


def _by_range(weight, scheme):
    return by_range(weight, scheme).values(weight, scheme.bits)


def test_what_is_stored():
    weight = weights()
    codes, scale, zero_point = hqq_codes(weight, INT2)
    assert (codes.dtype, int(codes.max())) == (torch.uint8, 3)
    for tensor in (scale, zero_point):
        assert tensor.shape == (64, 2)
        assert torch.equal(tensor, tensor.half().float())
    assert not torch.equal(zero_point, zero_point.round())


def test_a_group_of_zeros_stays_zero():
    assert torch.equal(values(torch.zeros(2, 64), INT2), torch.zeros(2, 64))


def test_weights_of_any_size_are_rounded_alike():
    weight = weights()
    assert torch.equal(hqq_codes(weight, INT4)[0], hqq_codes(weight * 2.0**6, INT4)[0])


def test_beats_what_needs_no_data_either(quantized, make_model, logits_of, error_of):
    expected = logits_of(make_model())
    for scheme, part in ((INT2, 0.9), (INT4, 1.0)):
        options = Quantization(weight=scheme)
        errors = [error_of(quantized(method, make_model(), options, None), expected) for method in ("mse", "hqq")]
        assert errors[1] < part * errors[0], scheme


def test_inputs_stay_float(quantized, make_model):
    model = quantized("hqq", make_model(), Quantization(weight=INT2, activation="grouped"), None)
    layers = [module for module in model.modules() if isinstance(module, GroupedLinear)]
    assert {str(layer.scheme) for layer in layers} == {"uint2 in groups of 64 weights, float input"}
    assert quantized.notes["zero_points"] == "float16"


def test_symmetric_schemes_have_no_zero_points(quantized, make_model):
    with pytest.raises(QuantizationError, match="hqq chooses zero points, which symmetric schemes do not have"):
        quantized("hqq", make_model(), Quantization(weight=WeightScheme(4, True, 64)), None)
