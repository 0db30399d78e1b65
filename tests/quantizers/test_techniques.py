"""Techniques: what they replace, and by what ranges."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

from qasr.audio import LogMel
from qasr.models.wav2vec2_bert.architecture import deployable
from qasr.quantizers import Quantization, QuantizationError, Ranges
from qasr.quantizers.calibration import CalibrationSet
from qasr.quantizers.layers.quantized import DynamicLinear, StaticLinear
from qasr.quantizers.layers.rewrite import quantizable

LAYERS_EACH = 8
"""Four Linears of two feed-forwards, two of attention, two pointwise convolutions."""


def model():
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=6
    )
    return deployable(Wav2Vec2BertForCTC(config).eval(), {"text": 6}, LogMel())


def calibration(*clips: torch.Tensor) -> CalibrationSet:
    alone = [(clip, torch.tensor([2 * clip.shape[1]])) for clip in clips]
    return CalibrationSet("noise", "0" * 64, 1.0, len(alone), lambda: iter(alone))


def noise(frames: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, frames, 160, generator=torch.Generator().manual_seed(seed))


def test_what_is_quantized_and_what_stays_float(quantized):
    rounded = quantized("dynamic", model(), Quantization(), None)
    kinds = [type(module) for module in rounded.modules()]
    assert kinds.count(DynamicLinear) == 2 * LAYERS_EACH
    floats = {name for name, module in rounded.named_modules() if isinstance(module, nn.Linear)}
    assert floats == {"projection", "heads"}
    assert kinds.count(nn.LayerNorm) == 1 + 2 * 6
    assert kinds.count(nn.Conv1d) == 2


def test_exclusion_by_glob(quantized):
    options = Quantization(exclude=("projection", "heads", "layers.0.*", "*.pointwise1"))
    rounded = quantized("dynamic", model(), options, None)
    assert sum(isinstance(module, DynamicLinear) for module in rounded.modules()) == LAYERS_EACH - 1


def test_glob_that_matches_nothing_is_an_error():
    with pytest.raises(
        QuantizationError, match=r"no layer matches the excluded layer\.0; layers are named like projec"
    ):
        quantizable(model(), ("heads", "layer.0"))
    with pytest.raises(QuantizationError, match="every layer is excluded"):
        quantizable(model(), ("*",))


def test_static_ranges_are_those_of_the_calibration_audio(quantized):
    plain, clips = model(), [noise(seed=1), noise(25, seed=2)]
    seen: list[torch.Tensor] = []
    layer = plain.layers[1].ffn1.intermediate
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for clip in clips:
        plain(clip, torch.tensor([2 * clip.shape[1]]))
    hook.remove()
    everything = torch.cat([values.flatten() for values in seen])
    rounded = quantized("static", plain, Quantization(), calibration(*clips))
    actual = rounded.layers[1].ffn1.intermediate
    assert isinstance(actual, StaticLinear)
    low, high = float(everything.min()), float(everything.max())
    assert float(actual.input_scale) == pytest.approx((high - low) / 255, rel=1e-5)
    assert int(actual.input_zero_point) == round(-low / ((high - low) / 255))


def test_static_output_is_near_the_float_one(quantized):
    features = noise(60, seed=3)
    lengths = torch.tensor([120])
    (expected,) = model()(features, lengths)
    rounded = quantized("static", model(), Quantization(), calibration(noise(seed=1), noise(seed=2), features))
    (actual,) = rounded(features, lengths)
    error = float((actual - expected).norm() / expected.norm())
    assert 1e-5 < error < 0.03


def test_static_is_deterministic(quantized):
    one, two = (quantized("static", model(), Quantization(), calibration(noise())) for _ in range(2))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])


def test_static_without_calibration(quantized):
    with pytest.raises(QuantizationError, match="needs calibration audio; name it with --calibration"):
        quantized("static", model(), Quantization(), None)


def test_calibration_that_is_no_numbers(quantized):
    broken = noise()
    broken[0, 3, 5] = float("nan")
    with pytest.raises(
        QuantizationError, match=r"calibration on noise gave no finite range for layers.0.ffn1.intermediate"
    ):
        quantized("static", model(), Quantization(), calibration(broken))


def test_unknown_observer(quantized):
    with pytest.raises(QuantizationError, match="no observer 'entropy'; there are minmax, percentile, mse"):
        quantized("static", model(), Quantization(ranges=Ranges(observer="entropy")), calibration(noise()))
