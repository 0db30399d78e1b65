"""Numbers of frames of logits."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from qasr.artifacts import Stride, output_index, output_lengths, output_rate
from qasr.audio import LogMel, Waveform

ADAPTER = [Stride(3, 2, 1)]
WAV2VEC2 = [Stride(10, 5), *[Stride(3, 2)] * 4, *[Stride(2, 2)] * 2]


@pytest.mark.parametrize("strides", [[], ADAPTER, ADAPTER * 2, WAV2VEC2])
@pytest.mark.parametrize("frames", [400, 401, 719, 720, 16_000])
def test_lengths_equal_those_of_convolutions(strides, frames):
    values = torch.zeros(1, 1, frames)
    for one in strides:
        values = torch.nn.functional.conv1d(values, torch.ones(1, 1, one.kernel), None, one.stride, one.padding)
    expected = values.shape[-1]
    assert output_lengths(frames, Waveform(), strides) == expected
    assert output_lengths(np.array([frames, frames]), Waveform(), strides).tolist() == [expected] * 2
    assert output_lengths(torch.tensor([frames]), Waveform(), strides).tolist() == [expected]


@pytest.mark.parametrize("keeps_partial", [False, True])
def test_half_filled_frames_do_not_count(keeps_partial):
    front_end = LogMel(keeps_partial=keeps_partial)
    for raw in (100, 101, 102, 103):
        assert output_lengths(raw, front_end, []) == raw // 2
        assert output_lengths(raw, front_end, ADAPTER) == (raw // 2 + 1) // 2
    # Counted by a larger padding than the convolution has: no more than there are.
    wide = [Stride(5, 2, 1, 2)]
    assert [output_lengths(raw, LogMel(keeps_partial=True), wide) for raw in (100, 101, 102, 103)] == [24, 25, 25, 25]


def test_rates_and_indices():
    assert output_rate(16_000.0, WAV2VEC2) == 50.0
    assert output_rate(50.0, ADAPTER) == 25.0
    assert output_rate(50.0, []) == 50.0
    assert output_index(1_200, ADAPTER) == 600
    assert output_index(24 * 16_000, WAV2VEC2) == 24 * 50
    assert output_index(24 * 16_000 + 170, WAV2VEC2) == 24 * 50 + 1
    assert output_index(7, []) == 7


@pytest.mark.parametrize(
    "stored", [b'{"kernel":0,"stride":1}', b'{"kernel":1,"stride":0}', b'{"kernel":1,"stride":1,"padding":-1}']
)
def test_impossible_strides(stored):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(stored, type=Stride)
