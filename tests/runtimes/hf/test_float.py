"""The stock module as a baseline: float checkpoints in transformers, on a CPU and on a GPU."""

from __future__ import annotations

import dataclasses
from functools import partial

import msgspec
import numpy as np
import pytest
import torch

from qasr import artifacts, reference
from qasr.audio import LogMel, batch, extract, read
from qasr.exporters import find
from qasr.runtimes import DeviceError, EngineOptions, load_engine
from qasr.runtimes.hf import engine as hf


@pytest.fixture(scope="module")
def inputs():
    clips = [read(reference.EVALUATION.parent / name) for name in ("000-m3.flac", "105-annie.flac")]
    front_end = LogMel(padding_value=1.0)
    features, _ = batch([extract(clip, front_end)[:120] for clip in clips], front_end)
    return features, np.array([120, 80])


@pytest.fixture
def make_artifact(exported):
    """The artifact of a target, its hashes checked; hf-bf16 is hf-fp16 but for what it is computed in."""

    def get(target, **more):
        artifact = artifacts.read(exported("hf-fp16").folder)
        execution = {**find(target).execution, **more}
        return dataclasses.replace(artifact, manifest=msgspec.structs.replace(artifact.manifest, execution=execution))

    return get


def error(result, expected):
    return max(np.linalg.norm(result[level] - expected[level]) / np.linalg.norm(expected[level]) for level in expected)


def test_on_a_cpu_it_is_float32(make_artifact):
    artifact = make_artifact("hf-fp16")
    assert artifact.manifest.precision.kernels == {"float Linear": 44}
    assert artifact.manifest.precision.weight_bytes.keys() == {"float16"}
    assert artifact.manifest.parity.relative_error < 1e-5
    assert artifact.manifest.fidelity.disagreement["phonemes"] == 0
    engine = load_engine(artifact, EngineOptions())
    assert {parameter.dtype for parameter in engine.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("target", "dtype", "most"), [("hf-fp16", torch.float16, 5e-3), ("hf-bf16", torch.bfloat16, 5e-2)]
)
def test_on_a_gpu_it_has_the_type_of_the_artifact(make_artifact, inputs, monkeypatch, target, dtype, most):
    artifact = make_artifact(target)
    expected = load_engine(artifact, EngineOptions()).infer(*inputs)
    compiled = []
    monkeypatch.setattr(hf, "_compiled", lambda model: compiled.append(model) or model)
    if not torch.cuda.is_available():  # torch's CPU computes in both types too
        monkeypatch.setattr(hf, "_device", lambda name: torch.device("cpu"))
    engine = load_engine(artifact, EngineOptions(device="cuda"))
    assert {parameter.dtype for parameter in engine.model.parameters()} == {dtype}
    result = engine.infer(*inputs)
    assert {logits.dtype for logits in result.values()} == {np.dtype(np.float32)}
    assert 1e-5 < error(result, expected) < most
    assert bool(compiled) is (target == "hf-bf16" and torch.cuda.is_available())


def test_compiled(make_artifact, inputs, monkeypatch):
    """By torch.compile, whose graphs an interpreter runs here."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain = load_engine(make_artifact("hf-bf16"), EngineOptions())
    engine = load_engine(make_artifact("hf-bf16", compile="cpu"), EngineOptions())
    assert type(engine.model).__name__ == "OptimizedModule"
    assert error(engine.infer(*inputs), plain.infer(*inputs)) < 1e-4


def test_a_requested_precision(make_artifact):
    engine = load_engine(make_artifact("hf-fp16"), EngineOptions(precision="bf16"))
    assert {parameter.dtype for parameter in engine.model.parameters()} == {torch.bfloat16}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu(make_artifact):
    with pytest.raises(DeviceError, match="device 'cuda': this torch sees no such device; use --device cpu"):
        load_engine(make_artifact("hf-bf16"), EngineOptions(device="cuda"))
