"""Weights that stay packed on a CPU: what is widened, and what a model computes with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qasr.artifacts import read
from qasr.gpu.layout import dequantize, pack
from qasr.runtimes import EngineOptions, OptionError, load_engine
from qasr.runtimes.hf.packed import WideningLinear


def layer(bits, dtype=torch.float32, *, bias=True):
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 2**bits, (24, 128), generator=generator, dtype=torch.uint8)
    scale = torch.rand(24, 4, generator=generator).to(dtype)
    offset = torch.randn(24, generator=generator) if bias else None
    return codes, WideningLinear(pack(codes, bits), scale, offset, bits=bits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bits", [2, 4])
def test_weights_are_those_of_the_layout(bits, dtype):
    _, widening = layer(bits, dtype)
    weight = widening.weight
    assert (weight.shape, weight.dtype) == ((24, 128), dtype)
    assert torch.equal(weight, dequantize(widening.packed, widening.scale, None, bits))


def test_weights_by_hand():
    codes = torch.tensor([[0, 15, 8, 9]], dtype=torch.uint8)
    widening = WideningLinear(pack(codes, 4), torch.tensor([[0.5, 2.0]]), None, bits=4)
    assert widening.weight.tolist() == [[-4.0, 3.5, 0.0, 2.0]]
    assert widening(torch.tensor([[1.0, 1.0, 5.0, 10.0]])).tolist() == [[19.5]]


@pytest.mark.parametrize("bias", [True, False])
def test_products(bias):
    _, exact = layer(4, bias=bias)
    _, half = layer(4, torch.bfloat16, bias=bias)
    rows = torch.randn(2, 7, 128, generator=torch.Generator().manual_seed(1))
    expected = rows @ exact.weight.t() + (exact.bias if bias else 0.0)
    torch.testing.assert_close(exact(rows), expected)
    result = half(rows)
    assert result.dtype == torch.float32
    assert 1e-5 < float((result - expected).norm() / expected.norm()) < 1e-2


def test_nothing_is_kept_wide():
    _, widening = layer(4)
    widening(torch.zeros(1, 128))
    assert sum(buffer.nbytes for buffer in widening.buffers()) == 24 * 64 + 4 * (24 * 4 + 24) + 256 * 8


def test_a_cpu_without_bf16(exported, monkeypatch):
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed: pip install 'qasr[lowbit]'")
    monkeypatch.setattr("qasr.runtimes.hf.packed.multiplies_bf16", lambda: False)
    with pytest.raises(OptionError, match="this CPU does not multiply bf16; leave --precision out"):
        load_engine(read(exported("hf-gptq").folder), EngineOptions(precision="bf16"))


def test_a_checkpoint_stays_packed_on_a_cpu(exported):
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed: pip install 'qasr[lowbit]'")
    artifact = read(exported("hf-gptq").folder)
    features, lengths = np.random.default_rng(0).standard_normal((2, 60, 160)).astype(np.float32), np.array([120, 86])
    engine = load_engine(artifact, EngineOptions())
    exact = engine.infer(features, lengths)
    # Codes of 32 layers, 4 bits each, and their scales; the rest is what stays float.
    held = sum(t.nbytes for m in engine.model.modules() if isinstance(m, WideningLinear) for t in (m.packed, m.scale))
    assert held == artifact.manifest.precision.weight_bytes["int32"] * (1 + 4 * 8 / (4 * 64))
    half = load_engine(artifact, EngineOptions(precision="bf16"))
    assert half.kernels() == engine.kernels() == {"WideningLinear": 32, "float Linear": 12}
    result = half.infer(features, lengths)
    for level, logits in exact.items():
        assert result[level].dtype == np.float32
        assert 1e-6 < np.linalg.norm(result[level][0] - logits[0]) / np.linalg.norm(logits[0]) < 1e-2, level
