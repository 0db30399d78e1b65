"""Numbers of frames of logits."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from qasr.artifacts import Stride, output_index, output_lengths, output_rate

ADAPTER = [Stride(3, 2, 1)]
WAV2VEC2 = [Stride(10, 5), *[Stride(3, 2)] * 4, *[Stride(2, 2)] * 2]


@pytest.mark.parametrize("strides", [[], ADAPTER, ADAPTER * 2, WAV2VEC2])
@pytest.mark.parametrize("frames", [400, 401, 719, 720, 16_000])
def test_lengths_equal_those_of_convolutions(strides, frames):
    values = torch.zeros(1, 1, frames)
    for one in strides:
        values = torch.nn.functional.conv1d(values, torch.ones(1, 1, one.kernel), None, one.stride, one.padding)
    expected = values.shape[-1]
    assert output_lengths(frames, strides) == expected
    assert output_lengths(np.array([frames, frames]), strides).tolist() == [expected] * 2
    assert output_lengths(torch.tensor([frames]), strides).tolist() == [expected]


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
