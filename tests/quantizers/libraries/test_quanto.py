"""optimum-quanto's layers: our reading of its codes gives its weights, to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.quantizers import Quantization, WeightScheme

pytest.importorskip("optimum.quanto", reason="optimum-quanto is not installed: pip install 'qasr[lowbit]'")


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize(("inputs", "group"), [(192, 96), (768, 128), (320, 64), (64, None)])
def test_weights_are_the_librarys(bits, inputs, group):
    from optimum.quanto import QLinear, qtypes

    from qasr.quantizers.libraries.quanto import QuantoLinear

    torch.manual_seed(0)
    linear = nn.Linear(inputs, 23)  # a number of rows that bytes do not divide
    library = QLinear.from_module(linear, weights=qtypes[f"qint{bits}"])
    layer = QuantoLinear(linear, bits)
    assert torch.equal(layer.weight, library.qweight.dequantize())
    groups = 1 if group is None or bits == 8 else inputs // group
    assert layer.scale.shape == layer.shift.shape == (23, groups)
    assert layer.codes.shape == (23, inputs)
    assert layer.scheme.weight == WeightScheme(bits, bits == 8, None if bits == 8 else group)
    rows = torch.randn(5, inputs)
    assert torch.allclose(layer(rows), rows @ layer.weight.t() + linear.bias, atol=1e-5)


@pytest.mark.parametrize(("bits", "least", "limit"), [(8, 1e-3, 0.003), (4, 0.01, 0.03), (2, 0.05, 0.2)])
def test_bundled_model(quantized, make_model, logits_of, error_of, bits, least, limit):
    expected = logits_of(make_model())
    options = Quantization(weight=WeightScheme(bits), exclude=("projection", "heads", "*.pointwise*"))
    assert least < error_of(quantized("quanto", make_model(), options, None), expected) < limit
