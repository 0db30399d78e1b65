"""Bytes of packed codes by hand, and back."""

from __future__ import annotations

import pytest
import torch

from qasr.gpu.layout import dequantize, pack, unpack


@pytest.mark.parametrize(
    ("codes", "bits", "expected"),
    [
        ([1, 2, 15, 0], 4, [0x21, 0x0F]),
        ([1, 2, 15], 4, [0x21, 0x0F]),
        ([3, 0, 1, 2], 2, [0b10_01_00_11]),
        ([1, 2, 3, 0, 2], 2, [0b00_11_10_01, 0b10]),
        ([7], 8, [7]),
    ],
)
def test_bytes(codes, bits, expected):
    packed = pack(torch.tensor(codes, dtype=torch.uint8), bits)
    assert packed.tolist() == expected
    assert unpack(packed, bits).tolist()[: len(codes)] == codes


def test_rows_are_packed_apart():
    codes = torch.arange(12, dtype=torch.uint8).view(2, 2, 3)
    assert pack(codes, 4).tolist() == [[[0x10, 0x02], [0x43, 0x05]], [[0x76, 0x08], [0xA9, 0x0B]]]


def test_dequantize_by_hand():
    packed = pack(torch.tensor([[0, 3, 8, 15], [1, 1, 2, 2]], dtype=torch.uint8), 4)
    scale = torch.tensor([[0.5, 2.0], [1.0, -0.25]])
    assert dequantize(packed, scale, None, 4).tolist() == [[-4.0, -2.5, 0.0, 14.0], [-7.0, -7.0, 1.5, 1.5]]
    zero_point = torch.tensor([[0, 15], [1, 2]], dtype=torch.uint8)
    assert dequantize(packed, scale, zero_point, 4).tolist() == [[0.0, 1.5, -14.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
