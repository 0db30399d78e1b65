"""Every method on a model with an adapter of another width: its layers run on half the frames."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

from qasr.audio import LogMel
from qasr.models.wav2vec2_bert.architecture import deployable
from qasr.quantizers import TECHNIQUES, Quantization, SmoothQuantOptions, TooFewFramesError, WeightScheme
from qasr.quantizers.apply import check
from qasr.quantizers.layers.rewrite import shallow_copy
from qasr.quantizers.search.sensitivity import sensitivity

ADAPTER = {
    "adapter.projection.0",
    *(f"adapter.layers.0.{name}_convolution.linear" for name in ("residual", "attention")),
    *(f"adapter.layers.0.attention.{name}" for name in ("qkv", "out")),
    *(f"adapter.layers.0.feedforward.{name}" for name in ("intermediate", "output")),
}
GROUPED = ("hqq", "gptq", "awq", "mse")
METHODS = [name for name in TECHNIQUES if name not in ("nf4", "llm-int8", "quanto", "inc")]


@pytest.fixture
def make_model():
    def make():
        torch.manual_seed(0)
        config = Wav2Vec2BertConfig(
            hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, vocab_size=8,
            add_adapter=True, output_hidden_size=32, initializer_range=0.1,
        )  # fmt: skip
        return deployable(Wav2Vec2BertForCTC(config).eval(), {"text": 8}, LogMel())

    return make


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, frames, 160, generator=generator) for frames in (120, 61, 90, 77)]


@pytest.fixture
def calibration(calibration_of, clips):
    return calibration_of(clips, seconds=60.0)


@pytest.mark.parametrize("method", METHODS)
def test_layers_of_the_adapter_are_quantized(quantized, make_model, calibration, clips, method):
    scheme = WeightScheme(4, False, 32) if method in GROUPED else WeightScheme()
    options = Quantization(weight=scheme, smoothquant=SmoothQuantOptions(strength=0.5))
    model = quantized(method, make_model(), options, calibration)
    floats = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert floats == {"projection", "heads"}
    pairs = [(model(*inputs)[0], make_model()(*inputs)[0]) for inputs in calibration.inputs()]
    error = sum((one - other).square().sum() for one, other in pairs) / sum(other.square().sum() for _, other in pairs)
    assert 1e-6 < float(error) ** 0.5 < (0.3 if method in GROUPED else 0.05)
    if method in ("awq", "smoothquant"):
        assert "adapter.layers.0.feedforward.intermediate" in quantized.notes["strengths"]


def test_each_layer_alone(quantized, make_model, calibration):
    original = make_model()
    rounded = quantized("dynamic", shallow_copy(original))
    report = sensitivity(original, rounded, list(calibration.inputs()), lambda items, *_: items)
    assert {layer.layer for layer in report.layers} >= ADAPTER
    assert all(layer.alone.error > 0 for layer in report.layers)


def test_frames_of_an_adapter_are_fewer(make_model, calibration_of, clips):
    """64 inputs of a layer behind the adapter need twice the audio that 64 in front of it need."""
    other = ("*.attention.*", "*.output", "*_convolution.*")
    exclude = ("projection", "heads", "layers.*", "adapter.projection.*", *other)
    quantization = Quantization(weight=WeightScheme(4, False, 32), exclude=exclude)
    check("gptq", make_model(), quantization, calibration_of(clips, seconds=1.3))
    with pytest.raises(TooFewFramesError, match=r"has 25 frames, .* adapter.layers.0.feedforward.intermediate, which"):
        check("gptq", make_model(), quantization, calibration_of(clips, seconds=1.0))
