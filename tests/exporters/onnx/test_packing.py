"""ONNX Runtime's operator computes what the scheme says."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from qasr.exporters.onnx.packing import PackedLinear
from qasr.quantizers import ActivationScheme, Scheme, WeightScheme
from qasr.quantizers.layers.grid import by_range
from qasr.quantizers.layers.grouped import GroupedLinear


class Alone(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.layer(values)


def run_in_onnx(layer: GroupedLinear, rows: torch.Tensor) -> np.ndarray:
    file = io.BytesIO()
    program = torch.onnx.export(
        Alone(PackedLinear(layer)).eval(), (rows,), dynamo=True, opset_version=18, input_names=["values"], verbose=False
    )
    program.save(file)
    return onnxruntime.InferenceSession(file.getvalue()).run(None, {"values": rows.numpy()})[0]


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "zero points"])
@pytest.mark.parametrize("group_size", [32, 64])
@pytest.mark.parametrize("bits", [2, 4])
def test_onnx_runtime_computes_the_scheme(bits, group_size, symmetric):
    generator = torch.Generator().manual_seed(0)
    weight, rows = torch.randn(24, 192, generator=generator), torch.randn(7, 192, generator=generator)
    scheme = WeightScheme(bits, symmetric, group_size)
    grid = by_range(weight, scheme)
    bias = torch.randn(24, generator=generator)
    layer = GroupedLinear(grid.codes(weight, bits), grid.scale, grid.zero_point, bias, scheme)
    expected = layer(rows).numpy()
    actual = run_in_onnx(layer, rows)
    assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()
    layer.scheme = Scheme(scheme, ActivationScheme("grouped"))
    rounded = layer(rows).numpy()
    assert np.abs(rounded - expected).max() > 1e-3 * np.abs(expected).max()
    actual = run_in_onnx(layer, rows)
    # A 2-bit kernel without VNNI may not round inputs at all; it is then nearer to the float one.
    nearest = min(np.abs(actual - rounded).max(), np.abs(actual - expected).max())
    assert nearest < 2e-3 * np.abs(expected).max()
