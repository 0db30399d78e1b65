"""The sensitivity report, against the plain way of making it."""

from __future__ import annotations

import pytest
import torch

from qasr.quantizers import Quantization
from qasr.quantizers.layers.quantized import DynamicLinear
from qasr.quantizers.layers.rewrite import quantizable, replace, shallow_copy
from qasr.quantizers.search.sensitivity import sensitivity
from qasr.quantizers.techniques.smoothquant import norm_folds

LAYERS = 4 * 8


def plain(items, description, total):
    return items


@pytest.fixture
def clips(real_clips):
    return [(clip, torch.tensor([2 * clip.shape[1]])) for clip in real_clips[:2]]


def outputs(model, clips):
    with torch.inference_mode():
        return [model(*clip) for clip in clips]


def relative(actual, expected):
    pairs = [
        (one, other)
        for left, right in zip(actual, expected, strict=True)
        for one, other in zip(left, right, strict=True)
    ]
    return (sum((a - b).square().sum() for a, b in pairs) / sum(b.square().sum() for _, b in pairs)).sqrt().item()


@pytest.mark.parametrize("method", ["static", "smoothquant", "dynamic", "rtn"])
def test_each_layer_alone(quantized, make_model, real_calibration, clips, method):
    """Resuming from kept hidden states gives what running the whole model with one rounded layer gives."""
    original = make_model()
    rounded = quantized(method, shallow_copy(original), Quantization(), real_calibration)
    report = sensitivity(original, rounded, clips, plain)
    assert len(report.layers) == LAYERS
    by_name = {layer.layer: layer for layer in report.layers}
    expected = outputs(make_model(), clips)
    pairs = {linear: folded.source for folded in norm_folds(original) for linear in folded.linears}
    for name in ("layers.0.ffn1.intermediate", "layers.1.attention.qkv", "layers.3.convolution.pointwise2"):
        alone = make_model()
        for place in (name, pairs[name]) if name in pairs else (name,):
            replace(alone, place, rounded.get_submodule(place))
        actual = outputs(alone, clips)
        assert by_name[name].alone.error == pytest.approx(relative(actual, expected), rel=1e-4)
        # In float64: a divergence of 1e-7 nats is lost in the rounding of float32.
        divergence = sum(
            torch.nn.functional.kl_div(
                one[0].double().log_softmax(-1),
                other[0].double().log_softmax(-1),
                reduction="sum",
                log_target=True,
            ).item()
            for one, other in zip(actual, expected, strict=True)
        )
        assert by_name[name].alone.divergence == pytest.approx(divergence / report.frames, rel=0.02, abs=1e-9)
        assert by_name[name].scheme == str(rounded.get_submodule(name).scheme)
    assert report.together.error == pytest.approx(relative(outputs(rounded, clips), expected), rel=1e-4)
    assert report.frames == sum(logits[0].shape[1] for logits in expected)


def test_order_and_shares(quantized, make_model, clips):
    original = make_model()
    report = sensitivity(original, quantized("dynamic", shallow_copy(original), Quantization(), None), clips, plain)
    errors = [layer.alone.error for layer in report.layers]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 5 * errors[-1] > 0
    assert sum(layer.share for layer in report.layers) == pytest.approx(1.0)
    for layer in report.layers:
        assert layer.share == pytest.approx(layer.alone.error**2 / sum(error**2 for error in errors))
    # Independent roundings add up as squares, which is what makes shares mean something.
    assert sum(error**2 for error in errors) ** 0.5 == pytest.approx(report.together.error, rel=0.15)


def test_a_broken_layer_comes_first(quantized, make_model, clips):
    original = make_model()
    rounded = quantized("rtn", shallow_copy(original), Quantization(), None)
    rounded.layers[2].attention.out.weight_scale *= 1.5
    report = sensitivity(original, rounded, clips, plain)
    assert report.layers[0].layer == "layers.2.attention.out"
    assert report.layers[0].share > 0.9


def test_excluded_layers_are_not_listed(quantized, make_model, clips):
    original = make_model()
    options = Quantization(exclude=("projection", "layers.*"))
    report = sensitivity(original, quantized("dynamic", shallow_copy(original), options, None), clips, plain)
    assert [layer.layer for layer in report.layers] == ["heads"]
    assert report.layers[0].alone == report.together
    assert report.layers[0].share == 1.0
    options = Quantization(exclude=("heads", "layers.*"))
    report = sensitivity(original, quantized("dynamic", shallow_copy(original), options, None), clips, plain)
    assert [layer.layer for layer in report.layers] == ["projection"]
    assert report.layers[0].alone == report.together


def test_both_models_stay_as_they_were(quantized, make_model, real_calibration, clips):
    original = make_model()
    before = outputs(original, clips)
    smoothed = quantized("smoothquant", shallow_copy(original), Quantization(), real_calibration)
    rounded = outputs(smoothed, clips)
    sensitivity(original, smoothed, clips, plain)
    assert relative(outputs(original, clips), before) == 0.0
    assert relative(outputs(smoothed, clips), rounded) == 0.0
    assert not any(isinstance(module, DynamicLinear) for module in original.modules())


def test_copy_shares_weights_but_not_layers(quantized, make_model):
    original = make_model()
    copied = shallow_copy(original)
    assert copied.heads.weight is original.heads.weight
    quantized("dynamic", copied, Quantization(), None)
    assert len(quantizable(original, original.float_layers)) == LAYERS


def test_progress_counts_passes(quantized, make_model, clips):
    seen = []

    def track(items, description, total):
        for item in items:
            seen.append((description, total))
            yield item

    original = make_model()
    sensitivity(original, quantized("dynamic", shallow_copy(original), Quantization(), None), clips, track)
    assert seen == [("Measuring each layer", (LAYERS + 1) * 2)] * ((LAYERS + 1) * 2)
