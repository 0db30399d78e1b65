"""The torch engine: it runs trusted and verified code, and its errors are one line."""

from __future__ import annotations

import shutil

import msgspec
import pytest
import torch

from qasr import load, reference
from qasr.artifacts import create
from qasr.runtimes import CodeNotTrustedError, DeviceError, OptionError, RuntimeLoadError, unsupported_reason

CLIP = reference.EVALUATION.parent / "000-m3.flac"


@pytest.fixture
def artifact(exported):
    return exported("torch-inc-int8")


def republished(artifact, folder, model=None, **changes):
    with create(folder) as staging:
        for name in artifact.manifest.files:
            shutil.copy(artifact.folder / name, staging.folder / name)
        if model is not None:
            (staging.folder / "model.pt2").write_bytes(model)
        return staging.publish(msgspec.structs.replace(artifact.manifest, **changes))


def test_transcribes(artifact, exported):
    with (
        load(artifact.folder, threads=1, trust_code=True) as model,
        load(exported("onnx-int8", "static").folder, threads=1) as other,
    ):
        assert model.transcribe(CLIP).text == other.transcribe(CLIP).text


def test_read_only_when_verified(artifact):
    with pytest.raises(
        RuntimeLoadError, match="its model file is code, and its hash was not checked; leave --no-verify out"
    ):
        load(artifact.folder, verify=False, trust_code=True)


def test_code_runs_only_if_it_is_trusted(artifact):
    message = r"its model file \(torch\) is code, .* add --trust-code \(trust_code=True in Python\)"
    with pytest.raises(CodeNotTrustedError, match=message) as caught:
        load(artifact.folder)
    assert (caught.value.folder, caught.value.engine) == (artifact.folder, "torch")


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"device": "cuda"}, DeviceError, "run on the CPU, not on 'cuda'"),
        ({"streams": 2}, OptionError, "takes no streams"),
        ({"precision": "bf16"}, OptionError, "takes no precision"),
    ],
)
def test_what_it_cannot_do(artifact, option, error, message):
    with pytest.raises(error, match=message):
        load(artifact.folder, trust_code=True, **option)


def test_a_torch_without_onednn(artifact, monkeypatch):
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["fbgemm"])
    assert unsupported_reason("torch", {}) == "this build of torch lacks the 8-bit kernels of onednn"
    with pytest.raises(RuntimeLoadError, match="this build of torch lacks the 8-bit kernels of onednn"):
        load(artifact.folder, trust_code=True)


def test_a_file_that_is_no_program(artifact, tmp_path):
    broken = republished(artifact, tmp_path / "broken", model=b"not a model")
    with pytest.raises(RuntimeLoadError, match=r"model.pt2: torch cannot load it \(.+\)$") as error:
        load(broken.folder, trust_code=True)
    assert "\n" not in str(error.value)


def test_a_program_of_other_levels(artifact, tmp_path):
    levels = dict(list(artifact.manifest.levels.items())[:-1])
    other = republished(artifact, tmp_path / "other", levels=levels)
    with pytest.raises(RuntimeLoadError, match=r"its outputs .* are not the manifest's levels"):
        load(other.folder, trust_code=True)
