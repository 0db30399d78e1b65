"""Each rewrite computes what the stock module computes; a padded clip gets the logits that it has alone."""

from __future__ import annotations

import pytest
import soundfile
import torch
from torch import nn

from qasr import reference
from qasr.artifacts import Stride
from qasr.audio import LogMel
from qasr.models import open_checkpoint
from qasr.models.layers.attention import fuse_qkv
from qasr.models.layers.convolution import StridedGatedConvolution, pointwise_to_linear, strided_to_linear
from qasr.models.layers.feedforward import scaled_linear
from qasr.models.layers.heads import fuse_heads
from qasr.models.layers.state import EncoderState, key_mask, relative_index
from qasr.models.wav2vec2_bert.architecture import deployable
from qasr.models.wav2vec2_bert.rewrites import (
    rewrite_adapter,
    rewrite_attention,
    rewrite_convolution,
    rewrite_feedforward,
)

LENGTHS = torch.tensor([101, 77, 30])
TOLERANCE = 1e-4


@pytest.fixture
def hidden() -> torch.Tensor:
    return torch.randn(3, 101, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def padding_mask() -> torch.Tensor:
    return (torch.arange(101)[None] < LENGTHS[:, None]).long()


def assert_valid_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(found[row, :length], expected[row, :length], atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_relative_attention(small_model, hidden):
    stock = small_model().wav2vec2_bert.encoder.layers[0].self_attn
    mask = key_mask(LENGTHS, 101, torch.float32)
    expected, _ = stock(hidden, attention_mask=mask)
    found = rewrite_attention(stock)(hidden, mask, relative_index(101, 64, 8, hidden.device))
    assert_valid_equal(found, expected)


@torch.inference_mode()
def test_relative_index_is_clamped_distance():
    index = relative_index(200, 64, 8, torch.device("cpu"))
    assert index[150, 150] == 64
    assert index[150, 0] == 0
    assert index[0, 199] == 72
    assert index[10, 13] == 67


@torch.inference_mode()
def test_attention_never_builds_a_tensor_of_frames_by_frames_by_head_width(small_model):
    """T × T × d is what the stock module allocates; the rewrite's largest tensor has one T × T a head."""
    stock = small_model().wav2vec2_bert.encoder.layers[0].self_attn
    rewritten = rewrite_attention(stock)
    frames, heads, width = 151, 4, 16
    sizes: list[int] = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and not result._is_view():
                sizes.append(result.numel())
            return result

    hidden, mask = torch.randn(1, frames, 64), torch.zeros(1, 1, 1, frames)
    with Watch():
        rewritten(hidden, mask, relative_index(frames, 64, 8, hidden.device))
    assert max(sizes) <= heads * frames * frames < frames * frames * width
    sizes.clear()
    with Watch():
        stock(hidden)
    assert max(sizes) >= frames * frames * width


@torch.inference_mode()
def test_fused_qkv_carries_the_scaling(hidden):
    query, key, value = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
    found = fuse_qkv(query, key, value, 0.25)(hidden)
    expected = torch.cat([0.25 * query(hidden), key(hidden), value(hidden)], dim=-1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_pointwise_convolution_as_linear(hidden):
    for bias in (True, False):
        convolution = nn.Conv1d(64, 96, 1, bias=bias)
        found = pointwise_to_linear(convolution)(hidden)
        torch.testing.assert_close(found, convolution(hidden.transpose(1, 2)).transpose(1, 2), atol=1e-6, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("step", [2, 3])
def test_strided_convolution_as_linear(hidden, kernel, step):
    """Every clip of a padded batch against the convolution on the clip alone."""
    convolution = nn.Conv1d(64, 96, kernel, stride=step, padding=step // 2)
    stride = Stride(kernel, step, step // 2)
    lengths = torch.tensor([101, 100, 99, 5, 4, 3])
    batch = hidden[[0, 1, 2, 0, 1, 2]]
    present = (torch.arange(101)[None] < lengths[:, None])[..., None]
    found = StridedGatedConvolution(strided_to_linear(convolution), stride)(batch, present)
    assert found.shape == (6, stride.frames(101), 48)
    for row, length in enumerate(lengths.tolist()):
        if stride.frames(length) < 1:
            continue
        alone = nn.functional.glu(convolution(batch[row : row + 1, :length].transpose(1, 2)), dim=1)[0].t()
        assert len(alone) == stride.frames(length)
        torch.testing.assert_close(found[row, : len(alone)], alone, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_convolution_needs_no_mask(small_model, hidden, padding_mask):
    stock = small_model().wav2vec2_bert.encoder.layers[0].conv_module
    assert_valid_equal(rewrite_convolution(stock)(hidden), stock(hidden, attention_mask=padding_mask))


@torch.inference_mode()
def test_feedforward_carries_the_half_step(small_model, hidden):
    stock = small_model().wav2vec2_bert.encoder.layers[0].ffn1
    torch.testing.assert_close(rewrite_feedforward(stock)(hidden), 0.5 * stock(hidden), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_halving_a_linear_is_exact(hidden):
    linear = nn.Linear(64, 32)
    assert torch.equal(scaled_linear(linear, 0.5)(hidden), 0.5 * linear(hidden))


@torch.inference_mode()
def test_fused_heads(hidden):
    heads = {"a": nn.Linear(64, 5), "b": nn.Linear(64, 3)}
    expected = torch.cat([head(hidden) for head in heads.values()], dim=-1)
    torch.testing.assert_close(fuse_heads(heads)(hidden), expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_adapter(small_model, hidden):
    stock = small_model(add_adapter=True, output_hidden_size=48, num_adapter_layers=2).wav2vec2_bert.adapter
    lengths = torch.tensor([101])
    state = EncoderState(hidden[:1], lengths, key_mask(lengths, 101, torch.float32), present=lengths)
    adapter = rewrite_adapter(stock)
    assert len(adapter.blocks) == 3
    for block in adapter.blocks:
        state = block(state)
    torch.testing.assert_close(state.hidden, stock(hidden[:1]), atol=TOLERANCE, rtol=0)
    assert state.hidden.shape[1] == int(state.lengths)


@torch.inference_mode()
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"position_embeddings_type": None},
        {"hidden_act": "gelu"},
        {"add_adapter": True},
        {"add_adapter": True, "output_hidden_size": 48, "num_adapter_layers": 2},
        {"add_adapter": True, "adapter_kernel_size": 5},
        {"add_adapter": True, "adapter_kernel_size": 5, "adapter_stride": 3, "num_adapter_layers": 2},
        {"add_adapter": True, "adapter_stride": 3},
    ],
)
def test_whole_model_and_padding(small_model, changes):
    """Against the stock model on each clip alone: with an adapter the stock model itself leaks padding."""
    stock = small_model(**changes)
    features = torch.randn(3, 101, 160, generator=torch.Generator().manual_seed(2))
    alone = [stock(features[row : row + 1, :length]).logits[0] for row, length in enumerate(LENGTHS)]
    (found,) = deployable(stock, {"text": 8}, LogMel())(features, 2 * LENGTHS)
    for row, expected in enumerate(alone):
        torch.testing.assert_close(found[row, : len(expected)], expected, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_reference_model_with_padding():
    """fp32, max abs 1e-4, on real audio: every level of every clip of a padded batch, against the stock class alone."""
    import json

    from transformers import SeamlessM4TFeatureExtractor

    rows = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()[:4]]
    waveforms = [soundfile.read(reference.EVALUATION.parent / row["audio"], dtype="float32")[0] for row in rows]
    extractor = SeamlessM4TFeatureExtractor.from_pretrained(reference.CHECKPOINT)
    with open_checkpoint("reference") as checkpoint:
        stock = checkpoint.stock()
        alone = []
        for waveform in waveforms:
            inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")
            length = int(inputs["attention_mask"].sum())
            alone.append({level: logits[0, :length] for level, logits in stock(**inputs).logits.items()})
        batch = extractor(waveforms, sampling_rate=16_000, return_tensors="pt")
        model = checkpoint.deployable()
    lengths = batch["attention_mask"].sum(-1)
    found = dict(zip(model.levels, model(batch["input_features"], 2 * lengths), strict=True))
    assert next(iter(found)) == "phonemes"
    assert len(found) == 11
    for row, expected in enumerate(alone):
        for level, logits in expected.items():
            torch.testing.assert_close(found[level][row, : lengths[row]], logits, atol=TOLERANCE, rtol=0)


def test_nothing_of_training_is_left(small_model):
    model = deployable(small_model(), {"text": 8}, LogMel())
    kinds = {type(module).__name__ for module in model.modules()}
    assert not kinds & {"Dropout", "Wav2Vec2BertEncoderLayer", "Wav2Vec2BertModel"}
    assert not any(parameter.requires_grad for parameter in model.parameters())
