"""With an adapter: the logits of the stock model on each clip alone, for every count of raw frames, in any batch.

Of an odd count the extractor pads a half-filled frame. The stock model masks it, and its adapter reads it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor

from qasr.audio import LogMel, batch, extract
from qasr.models.wav2vec2_bert.architecture import deployable

TOLERANCE = 1e-4
FRONT_END = LogMel(padding_value=1.0, keeps_partial=True)
RAW_FRAMES = [*range(60, 72), 131, 132]
"""Every remainder by 2, 3, 4, 6 and 12; the last two are longer, so that the others have padding in a batch."""

SHAPES = {
    "kernel 3, stride 2": {},
    "kernel 3, stride 3": {"adapter_stride": 3},
    "kernel 5, stride 2": {"adapter_kernel_size": 5},
    "kernel 5, stride 3": {"adapter_kernel_size": 5, "adapter_stride": 3},
}
LAYERS = {"one layer": {}, "two of another width": {"num_adapter_layers": 2, "output_hidden_size": 48}}


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(3)
    return [(0.1 * rng.standard_normal(400 + 160 * (frames - 1))).astype(np.float32) for frames in RAW_FRAMES]


@pytest.fixture(scope="module")
def stock_inputs(waves):
    extractor = SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1.0)
    return [extractor(wave, sampling_rate=16_000, return_tensors="pt") for wave in waves]


@pytest.fixture(params=[(shape, layers) for shape in SHAPES for layers in LAYERS], ids=", ".join)
def stock(request, small_model):
    shape, layers = request.param
    return small_model(add_adapter=True, **SHAPES[shape], **LAYERS[layers])


@torch.inference_mode()
def test_every_count_of_raw_frames(stock, waves, stock_inputs):
    expected, counts = [], []
    for one in stock_inputs:
        logits = stock(**one).logits[0]
        counted = int(stock._get_feat_extract_output_lengths(one["attention_mask"].sum()))
        # With kernel 5 the stock model counts more frames than it has.
        counts.append(min(counted, len(logits)))
        expected.append(logits)
    model = deployable(stock, {"text": 8}, FRONT_END)
    recordings = [extract(wave, FRONT_END) for wave in waves]
    assert [len(one) for one in recordings] == RAW_FRAMES
    for order in (range(len(waves)), *([index] for index in range(len(waves))), [0, 13], [13, 3, 7, 11], [5, 1, 9]):
        inputs, lengths = (torch.from_numpy(one) for one in batch([recordings[index] for index in order], FRONT_END))
        (logits,) = model(inputs, lengths)
        valid = model.output_lengths(lengths)
        for row, index in enumerate(order):
            count = counts[index]
            assert int(valid[row]) == count
            torch.testing.assert_close(logits[row, :count], expected[index][:count], atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_the_half_frame_counts(small_model, waves, stock_inputs):
    """Leaving it out changes the logits of one clip in four, whose raw frames are 3 more than a multiple of 4."""
    stock = small_model(add_adapter=True)
    without = LogMel(padding_value=1.0)
    expected = [stock(**one).logits[0] for one in stock_inputs]
    model = deployable(stock, {"text": 8}, without)
    for wave, logits, frames in zip(waves, expected, RAW_FRAMES, strict=True):
        inputs, lengths = (torch.from_numpy(one) for one in batch([extract(wave, without)], without))
        (actual,) = model(inputs, lengths)
        difference = float((actual[0] - logits[: actual.shape[1]]).abs().max())
        assert (difference > 0.1) == (frames % 4 == 3)
