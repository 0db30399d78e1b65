"""AWQ: folding changes nothing in float, the scales do change, and what matters is kept."""

from __future__ import annotations

import pytest
import torch

from qasr.models.architecture import FoldedLayers
from qasr.quantizers import Quantization, WeightScheme
from qasr.quantizers.layers.fold import fold
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.techniques.awq import STRENGTHS
from qasr.quantizers.techniques.smoothquant import norm_folds

INT4 = WeightScheme(4, False, 64)


def values_of(name):
    """The fold from the values of a layer's attention into its output."""
    return FoldedLayers(name.replace("out", "qkv"), (name,), (2, 3))


OUTPUTS = [f"layers.{index}.attention.out" for index in range(4)]


def test_folding_values_is_exact_in_float(make_model, logits_of, error_of):
    """Attention mixes frames, never channels: what its values are divided by, its output can multiply."""
    expected, model = logits_of(make_model()), make_model()
    generator = torch.Generator().manual_seed(0)
    for name in OUTPUTS:
        before = model.get_submodule(name.replace("out", "qkv")).weight.clone()
        assert fold(model, values_of(name), 2.0 ** torch.randint(-3, 4, (192,), generator=generator))
        after = model.get_submodule(name.replace("out", "qkv")).weight
        assert torch.equal(before[: 2 * 192], after[: 2 * 192])
        assert not torch.equal(before[2 * 192 :], after[2 * 192 :])
    assert error_of(model, expected) < 1e-5


def test_folding_equal_scales_is_none(make_model):
    model = make_model()
    before = model.layers[0].attention.qkv
    assert not fold(model, values_of(OUTPUTS[0]), torch.full((192,), 2.0))
    assert model.layers[0].attention.qkv is before


def test_scales_changed(quantized, make_model, real_calibration):
    """Not by silence the same as plain rounding: LayerNorms moved, strengths are on record, codes differ."""
    original = make_model()
    plain = quantized("mse", make_model(), Quantization(weight=INT4), None)
    model = quantized("awq", make_model(), Quantization(weight=INT4), real_calibration)
    strengths = quantized.notes["strengths"]
    assert set(strengths.values()) <= set(STRENGTHS)
    assert len(strengths) >= 16  # of 20 layers that can be scaled
    assert set(strengths) & set(OUTPUTS)
    for name in strengths:
        codes, others = (other.get_submodule(name).codes for other in (model, plain))
        assert (codes != others).float().mean() > 0.05, name
    smoothed = "layers.0.ffn1.intermediate"
    assert smoothed in strengths
    assert not torch.equal(model.layers[0].ffn1_norm.weight, original.layers[0].ffn1_norm.weight)


def test_float_model_with_awqs_folds_is_the_same_function(quantized, make_model, real_calibration, logits_of, error_of):
    """Put float weights back into the scaled layers: all that is left of AWQ is what it folded."""
    expected = logits_of(make_model())
    options = Quantization(weight=INT4, exclude=("projection", "heads", "*.output", "*.pointwise2"))
    model = quantized("awq", make_model(), options, real_calibration)
    fine = WeightScheme(8, False, 64)
    model_8 = quantized("awq", make_model(), Quantization(weight=fine, exclude=options.exclude), real_calibration)
    assert error_of(model_8, expected) < 2e-3 < error_of(model, expected) < 0.03


def test_outlier_channels_are_kept(quantized, make_model, real_calibration, logits_of, error_of):
    """A few inputs 30 times as large as the others: rounding loses on them, AWQ does not."""

    def with_outliers():
        model, generator = make_model(), torch.Generator().manual_seed(0)
        for folded in norm_folds(model):
            scales = torch.ones(192)
            scales[torch.randperm(192, generator=generator)[:3]] = 1 / 30
            assert fold(model, folded, scales)
        return model

    expected = logits_of(make_model())
    plain = error_of(quantized("mse", with_outliers(), Quantization(weight=INT4), None), expected)
    aware = error_of(quantized("awq", with_outliers(), Quantization(weight=INT4), real_calibration), expected)
    assert aware < 0.6 * plain


def test_every_layer_is_quantized(quantized, make_model, real_calibration):
    model = quantized("awq", make_model(), Quantization(weight=INT4), real_calibration)
    layers = [module for module in model.modules() if isinstance(module, GroupedLinear)]
    assert len(layers) == 32
    assert {str(layer.scheme) for layer in layers} == {"uint4 in groups of 64 weights, float input"}


@pytest.mark.parametrize("name", OUTPUTS[:1])
def test_excluded_projection_takes_the_scaling_of_its_values(quantized, make_model, real_calibration, name):
    options = Quantization(weight=INT4, exclude=("projection", "heads", "*.qkv"))
    model = quantized("awq", make_model(), options, real_calibration)
    assert isinstance(model.layers[0].attention.qkv, torch.nn.Linear)
    assert not torch.equal(model.layers[0].attention.qkv.weight, make_model().layers[0].attention.qkv.weight)
    assert name in quantized.notes["strengths"]
