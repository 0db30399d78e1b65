"""bitsandbytes' layers: our reading of its codes gives its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.quantizers import Quantization, QuantizationError

functional = pytest.importorskip(
    "bitsandbytes.functional", reason="bitsandbytes is not installed: pip install 'qasr[lowbit]'"
)


def linear(inputs=128, outputs=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(inputs, outputs)
    layer.weight = nn.Parameter(torch.randn(outputs, inputs, generator=generator), requires_grad=False)
    layer.bias = nn.Parameter(torch.randn(outputs, generator=generator), requires_grad=False)
    return layer


def test_nf4_weights_are_the_librarys():
    from qasr.quantizers.libraries.bitsandbytes import Nf4Linear

    float_one = linear()
    layer = Nf4Linear(float_one)
    packed, state = functional.quantize_4bit(float_one.weight, blocksize=64, quant_type="nf4")
    assert torch.equal(layer.weight, functional.dequantize_4bit(packed, state))
    assert layer.packed.shape == (24, 64)
    assert layer.absmax.shape == (24, 2)
    # By hand: the largest of a group is ±1 of its absmax, a table's end.
    group = float_one.weight[0, :64]
    largest = group.abs().argmax()
    assert layer.absmax[0, 0] == group.abs().max()
    assert layer.weight[0, largest] == group[largest]
    assert len(layer.weight[0, :64].unique()) <= 16
    assert str(layer.scheme) == "nf4 in groups of 64 weights, float input"
    rows = torch.randn(5, 128, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(layer(rows), rows @ layer.weight.t() + float_one.bias, atol=1e-5)


def test_llm_int8_weights_by_hand():
    from qasr.quantizers.libraries.bitsandbytes import LlmInt8Linear

    float_one = linear()
    layer = LlmInt8Linear(float_one)
    assert layer.integers.dtype == torch.int8
    assert torch.allclose(layer.absmax, float_one.weight.abs().amax(1), rtol=1e-3)
    weight = layer.integers.float() * layer.absmax[:, None] / 127
    assert float((weight - float_one.weight).abs().max()) <= 0.51 * float(layer.absmax.max()) / 127 + 2e-3
    rows = torch.randn(5, 128, generator=torch.Generator().manual_seed(1))
    expected = rows @ weight.t() + float_one.bias
    assert float((layer(rows) - expected).norm() / expected.norm()) < 0.02
    assert str(layer.scheme) == "int8 weights, dynamic uint8 input"


def test_outliers_stay_in_float():
    """A channel beyond the threshold does not spoil the rounding of the others."""
    from qasr.quantizers.libraries.bitsandbytes import LlmInt8Linear

    float_one = linear()
    rows = torch.randn(5, 128, generator=torch.Generator().manual_seed(1))
    rows[:, 7] = 500.0
    expected = float_one(rows)
    assert float((LlmInt8Linear(float_one)(rows) - expected).norm() / expected.norm()) < 0.01


@pytest.mark.parametrize(("method", "limit"), [("nf4", 0.03), ("llm-int8", 0.01)])
def test_bundled_model(quantized, make_model, logits_of, error_of, method, limit):
    expected = logits_of(make_model())
    model = quantized(method, make_model(), Quantization(), None)
    assert 1e-4 < error_of(model, expected) < limit


def test_groups_that_do_not_divide(quantized, make_model):
    model = make_model()
    model.layers[0].ffn1.intermediate = linear(96, 768)
    with pytest.raises(QuantizationError, match="groups of 64 do not divide the 96 inputs"):
        quantized("nf4", model, Quantization(), None)
