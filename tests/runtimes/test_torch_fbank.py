"""Features computed with torch equal those of ``audio``, on torch's CPU and, if there is one, on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qasr import load, reference
from qasr.artifacts import create
from qasr.audio import LogMel, Waveform, extract, read
from qasr.audio.frontends.fbank import fbank
from qasr.errors import MissingExtraError
from qasr.runtimes import DeviceError, EngineOptions, Model, OptionError, load_engine, loading
from qasr.runtimes.torch_fbank import TorchFbank

FRONT_END = LogMel(padding_value=1.0)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU here")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("clip", ["000-m3.flac", "157-annie.flac"])
def test_speech(device, clip):
    waveform = read(reference.EVALUATION.parent / clip)
    energies = TorchFbank(device)(waveform, 80)
    assert energies.dtype == np.float32
    np.testing.assert_allclose(energies, fbank(waveform, 80), atol=1e-5)
    np.testing.assert_allclose(FRONT_END.normalize(energies), extract(waveform, FRONT_END), atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("samples", [0, 399, 400, 559, 560, 16_001])
def test_any_length(device, samples, speechlike):
    waveform = speechlike(2.0)[:samples]
    expected = fbank(waveform, 80)
    np.testing.assert_allclose(TorchFbank(device)(waveform, 80), expected, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_blocks_meet(device, speechlike):
    """50 s are computed in more than one block."""
    waveform = np.concatenate([speechlike(49.0), np.zeros(16_000, np.float32)])
    result = TorchFbank(device)(waveform, 40)
    assert result.shape == (4998, 40)
    np.testing.assert_allclose(result, fbank(waveform, 40), atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_transcripts(device, toy, make_tones):
    """In one window and in several, alone and in a batch."""
    engine = load_engine(toy, EngineOptions())
    texts = ["abc", "cab" * 20]
    with Model(toy, engine, 4.0, 1.0, transform=TorchFbank(device)) as model:
        many = model.transcribe_batch([make_tones(text) for text in texts], sample_rate=16_000)
        assert [transcript.text for transcript in many] == texts
        assert model.transcribe(make_tones("abc"), sample_rate=16_000).text == "abc"


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "features are computed on cpu, cuda or cuda:N, not on 'gpu'"),
        ("cuda:x", "not on 'cuda:x'"),
        ("cpu:1", "not on 'cpu:1'"),
        ("cuda:99", r"features on 'cuda:99': this torch \(\S+\) sees \d+ NVIDIA GPUs here; leave --features out"),
    ],
)
def test_a_device_that_is_not_there(toy, device, message):
    with pytest.raises(DeviceError, match=message) as error:
        load(toy.folder, features=device)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_a_front_end_without_features(tmp_path, make_manifest, device):
    with create(tmp_path / "a") as staging:
        (staging.folder / "model.onnx").touch()
        artifact = staging.publish(make_manifest(front_end=Waveform(), frame_rate_hz=16_000.0))
    with pytest.raises(OptionError, match=f"features on '{device}': this model's front end computes none .*; leave"):
        load(artifact.folder, features=device)


def test_without_torch(toy, monkeypatch):
    monkeypatch.setattr(loading, "installed", lambda name: False)
    with pytest.raises(MissingExtraError, match=r"torch is not installed; type: pip install 'qasr\[torch\]'"):
        load(toy.folder, features="cuda")
    assert load(toy.folder).transcribe(np.zeros(16_000, np.float32), sample_rate=16_000).text == ""
