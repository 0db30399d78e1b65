"""Tensors of stock layers by hand."""

from __future__ import annotations

import torch
from torch import nn

from qasr.models import StockLayer
from qasr.models.write_back import tensors_of


def test_rows_and_factor():
    linear = nn.Linear(3, 4)
    written = tensors_of(StockLayer("q", linear, slice(1, 3), 0.5), linear.weight, linear.bias)
    assert torch.equal(written["q.weight"], 2 * linear.weight[1:3])
    assert torch.equal(written["q.bias"], 2 * linear.bias[1:3])


def test_a_linear_on_stacked_frames_is_a_convolution():
    convolution = nn.Conv1d(5, 4, kernel_size=3)
    linear = nn.Linear(15, 4)
    linear.weight, linear.bias = nn.Parameter(convolution.weight.transpose(1, 2).flatten(1)), convolution.bias
    frames = torch.randn(1, 10, 5)
    stacked = frames.unfold(1, 3, 1).transpose(2, 3).flatten(2)
    expected = convolution(frames.transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(linear(stacked), expected, atol=1e-6)
    written = tensors_of(StockLayer("conv", linear, slice(None), kernel=3), linear.weight, linear.bias)
    assert torch.equal(written["conv.weight"], convolution.weight)
    assert torch.equal(written["conv.bias"], convolution.bias)


def test_a_stock_layer_without_bias():
    linear = nn.Linear(3, 4)
    layer = StockLayer("conv", linear, slice(None), kernel=1, bias=False)
    assert set(tensors_of(layer, linear.weight, torch.zeros(4))) == {"conv.weight"}
    assert tensors_of(layer, linear.weight, None)["conv.weight"].shape == (4, 3, 1)
