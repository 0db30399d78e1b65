"""SmoothQuant: folding changes nothing in float, and what rounds badly rounds well afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.models.architecture import FoldedLayers
from qasr.quantizers import Quantization, QuantizationError, Ranges, SmoothQuantOptions
from qasr.quantizers.layers.fold import fold
from qasr.quantizers.layers.quantized import StaticLinear
from qasr.quantizers.layers.rewrite import quantizable
from qasr.quantizers.techniques.smoothquant import _ROWS, STRENGTHS, _observe, norm_folds

PAIRS = 4 * 4
"""Two feed-forwards, the attention and the convolution of each layer."""


def norm_of_linear(model):
    return {linear: folded.source for folded in norm_folds(model) for linear in folded.linears}


def pair(norm, linear):
    return FoldedLayers(norm, (linear,), None)


def with_outliers(model):
    """The same function in float, but with a few channels 40 times as large in front of every smoothable Linear."""
    generator = torch.Generator().manual_seed(0)
    for linear, norm in norm_of_linear(model).items():
        scales = torch.ones(model.get_submodule(linear).in_features)
        scales[torch.randperm(len(scales), generator=generator)[:4]] = 1 / 40
        assert fold(model, pair(norm, linear), scales)
    return model


def test_every_norm_feeds_its_linear_alone(make_model, real_clips):
    """The premise of folding: the Linear's input is the LayerNorm's output, and nothing else reads that."""
    model = make_model()
    pairs = norm_of_linear(model)
    assert len(pairs) == PAIRS
    given, taken = {}, []
    for linear, norm in pairs.items():
        model.get_submodule(norm).register_forward_hook(lambda *a, norm=norm: given.update({norm: a[2].clone()}))
        model.get_submodule(linear).register_forward_hook(
            lambda *a, linear=linear, norm=norm: taken.append(torch.equal(a[1][0], given[norm]))
        )
    clip = real_clips[0]
    expected = model(clip, torch.tensor([2 * clip.shape[1]]))
    assert taken == [True] * PAIRS
    # With the Linears blind, what the norms give must not matter.
    for linear, norm in pairs.items():
        model.get_submodule(linear).weight = nn.Parameter(torch.zeros_like(model.get_submodule(linear).weight))
        model.get_submodule(norm).register_forward_hook(lambda *a: a[2])
    blind = model(clip, torch.tensor([2 * clip.shape[1]]))
    for norm in pairs.values():
        model.get_submodule(norm).register_forward_hook(lambda *a: a[2] * 1000)
    assert all(torch.equal(a, b) for a, b in zip(blind, model(clip, torch.tensor([2 * clip.shape[1]])), strict=True))
    assert not torch.equal(blind[0], expected[0])


def test_folding_is_exact_in_float(make_model, logits_of, error_of):
    expected = logits_of(make_model())
    assert 0 < error_of(with_outliers(make_model()), expected) < 1e-5
    # Scales that are powers of two change no bit.
    model = make_model()
    for linear, norm in norm_of_linear(model).items():
        width = model.get_submodule(linear).in_features
        scales = 2.0 ** torch.randint(-4, 5, (width,), generator=torch.Generator().manual_seed(width))
        assert fold(model, pair(norm, linear), scales)
    assert error_of(model, expected) < 1e-6


def test_folding_by_equal_scales_is_none(make_model):
    model = make_model()
    norm = model.layers[0].ffn1_norm.weight
    assert not fold(model, pair("layers.0.ffn1_norm", "layers.0.ffn1.intermediate"), torch.full((norm.numel(),), 3.0))
    assert model.layers[0].ffn1_norm.weight is norm


def test_smoothing_repairs_outliers(quantized, make_model, real_calibration, logits_of, error_of):
    expected = logits_of(make_model())
    plain = error_of(quantized("static", make_model(), Quantization(), real_calibration), expected)
    hurt = error_of(quantized("static", with_outliers(make_model()), Quantization(), real_calibration), expected)
    smoothed = error_of(
        quantized("smoothquant", with_outliers(make_model()), Quantization(), real_calibration), expected
    )
    assert hurt > 8 * plain
    assert smoothed < 1.1 * plain


@pytest.mark.parametrize("observer", ["minmax", "percentile", "mse"])
def test_searched_strengths_are_no_worse_than_plain_static(
    quantized, make_model, real_calibration, logits_of, error_of, observer
):
    expected, options = logits_of(make_model()), Quantization(ranges=Ranges(observer=observer))
    plain = error_of(quantized("static", make_model(), options, real_calibration), expected)
    model = quantized("smoothquant", make_model(), options, real_calibration)
    assert error_of(model, expected) < 1.03 * plain
    strengths = quantized.notes["strengths"]
    assert set(strengths) <= set(norm_of_linear(model))
    assert set(strengths.values()) <= set(STRENGTHS)
    assert len(strengths) > PAIRS / 2


def test_scales_really_change_and_only_theirs(quantized, make_model, real_calibration):
    """Smoothed layers' norms and scales differ from plain static's; excluded layers and all others are untouched."""
    options = Quantization(smoothquant=SmoothQuantOptions(strength=0.5), exclude=("projection", "heads", "layers.1.*"))
    plain = quantized("static", make_model(), options, real_calibration)
    model = quantized("smoothquant", make_model(), options, real_calibration)
    smoothed = {name for name in norm_of_linear(model) if not name.startswith("layers.1.")}
    assert quantized.notes["strengths"] == dict.fromkeys(sorted(smoothed, key=list(norm_of_linear(model)).index), 0.5)
    norms = norm_of_linear(model)
    for name in smoothed:
        actual, before = model.get_submodule(name), plain.get_submodule(name)
        assert isinstance(actual, StaticLinear)
        assert not torch.allclose(actual.weight_scale, before.weight_scale, rtol=0.05)
        assert float(actual.input_scale) != pytest.approx(float(before.input_scale), rel=0.05)
        assert (actual.weight != before.weight).float().mean() > 0.3
        norm, original = model.get_submodule(norms[name]), plain.get_submodule(norms[name])
        assert not torch.allclose(norm.weight, original.weight, rtol=0.05)
    changed = {part for name in smoothed for part in (name, norms[name])}
    for name, module in model.named_modules():
        if name in changed or any(module.children()):
            continue
        for key, tensor in module.state_dict().items():
            if key.startswith("input_"):  # ranges behind a smoothed layer differ by rounding
                torch.testing.assert_close(tensor, plain.get_submodule(name).state_dict()[key], rtol=1e-3, atol=0)
            else:
                assert torch.equal(tensor, plain.get_submodule(name).state_dict()[key]), f"{name}.{key}"


def test_outputs_are_rounded_where_asked(quantized, make_model, real_calibration):
    model = quantized(
        "smoothquant",
        make_model(),
        Quantization(smoothquant=SmoothQuantOptions(strength=0.5), outputs=True),
        real_calibration,
    )
    assert model.layers[0].attention.qkv.scheme.output.mode == "static"


def test_search_keeps_few_rows(make_model, real_clips, calibration_of):
    model, clips = make_model(), real_clips
    linears = [pair for pair in quantizable(model, model.float_layers) if pair[0] in norm_of_linear(model)]
    many = calibration_of([*clips, *clips], name="many")
    for inputs in _observe(model, linears, many).values():
        kept, held_back = (sum(map(len, rows)) for rows in (inputs.rows, inputs.held_back))
        assert 0 < held_back < kept < kept + held_back <= _ROWS


@pytest.mark.parametrize("strength", [-0.1, 1.5])
def test_strengths_out_of_range(quantized, make_model, real_calibration, strength):
    with pytest.raises(QuantizationError, match="strength of smoothing must lie between 0 and 1, not"):
        quantized(
            "smoothquant",
            make_model(),
            Quantization(smoothquant=SmoothQuantOptions(strength=strength)),
            real_calibration,
        )


def test_nothing_to_smooth_is_an_error(quantized, make_model, real_calibration):
    pairs = ("*.ffn?.intermediate", "*.qkv", "*.pointwise1")
    with pytest.raises(QuantizationError, match="smoothing would change the scales of no layer; use --method static"):
        quantized("smoothquant", make_model(), Quantization(exclude=("projection", "heads", *pairs)), real_calibration)


def test_calibration_missing_or_broken(quantized, make_model, real_clips, calibration_of):
    with pytest.raises(QuantizationError, match="smoothquant needs calibration audio; name it with --calibration"):
        quantized("smoothquant", make_model(), Quantization(), None)
    # In a clip that is held back, which decides no scale.
    clips = [clip.clone() for clip in real_clips[:4]]
    clips[3][0, 5, 7] = float("nan")
    broken = calibration_of(clips, name="broken")
    with pytest.raises(QuantizationError, match=r"calibration on broken gave no finite range for layers.0.ffn1.interm"):
        quantized("smoothquant", make_model(), Quantization(), broken)
