"""Trained layers on disk come back bit for bit, and what is no such file is one line."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from qasr.models import CheckpointError
from qasr.quantizers import WeightScheme
from qasr.quantizers.layers import grid, stored
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.layers.quantized import StaticLinear


@pytest.fixture
def layers() -> dict[str, stored.Layer]:
    torch.manual_seed(0)
    linear = nn.Linear(64, 8)
    static = StaticLinear(linear, (-1.0, 2.0), (-4.0, 4.0))
    scheme = WeightScheme(4, False, 32)
    actual = grid.by_error(linear.weight, scheme)
    grouped = GroupedLinear(actual.codes(linear.weight, 4), actual.scale, actual.zero_point, linear.bias, scheme)
    return {"layers.0.ffn1.output": static, "heads": StaticLinear(linear, (0.0, 3.0)), "projection": grouped}


def test_comes_back(tmp_path, layers):
    stored.save(layers, tmp_path / "q.safetensors", partial=True)
    actual = stored.load(tmp_path / "q.safetensors")
    assert actual.method == "qat-partial"
    assert list(actual.layers) == sorted(layers)
    for name, layer in layers.items():
        back = actual.layers[name]
        assert (type(back), back.scheme) == (type(layer), layer.scheme)
        for key, tensor in layer.state_dict().items():
            assert torch.equal(back.state_dict()[key], tensor), (name, key)


def test_same_bytes(tmp_path, layers):
    for name in ("a", "b"):
        stored.save(layers, tmp_path / name, partial=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_refuses_other_files(tmp_path, layers):
    (tmp_path / "q").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="q: not a sound file of trained schemes"):
        stored.load(tmp_path / "q")
    save_file({"a": torch.zeros(1)}, tmp_path / "q", metadata={"qasr": '{"format": 9}'})
    with pytest.raises(CheckpointError, match="q: trained schemes of format 9, where this qasr reads 1; train again"):
        stored.load(tmp_path / "q")


def test_refuses_other_models(make_model, layers):
    with pytest.raises(CheckpointError, match="the trained scheme of heads does not fit the model's layer"):
        stored.Stored({"heads": layers["heads"]}, False).put_into(make_model())
    with pytest.raises(CheckpointError, match=r"have a layer layers\.9.ffn1.output, which the model lacks"):
        stored.Stored({"layers.9.ffn1.output": layers["heads"]}, False).put_into(make_model())
