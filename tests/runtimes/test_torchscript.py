"""The TorchScript engine: trusted and verified code with the artifact's kernels, and errors of one line."""

from __future__ import annotations

import shutil

import msgspec
import numpy as np
import pytest
import torch

from qasr import load, reference
from qasr.artifacts import create, read
from qasr.errors import first_line, last_line
from qasr.runtimes import (
    CodeNotTrustedError,
    DeviceError,
    EngineOptions,
    InferenceError,
    OptionError,
    RuntimeLoadError,
    load_engine,
    unsupported_reason,
)

CLIP = reference.EVALUATION.parent / "000-m3.flac"


@pytest.fixture
def artifact(exported):
    return exported("torchscript-fbgemm", "dynamic")


def republished(artifact, folder, model=None, **changes):
    with create(folder) as staging:
        for name in artifact.manifest.files:
            shutil.copy(artifact.folder / name, staging.folder / name)
        if model is not None:
            (staging.folder / "model.pt").write_bytes(model)
        return staging.publish(msgspec.structs.replace(artifact.manifest, **changes))


def test_code_runs_only_when_verified(artifact):
    with pytest.raises(
        RuntimeLoadError, match="its model file is code, and its hash was not checked; leave --no-verify out"
    ):
        load(artifact.folder, verify=False, trust_code=True)


def test_threads_are_put_back(artifact):
    before = torch.get_num_threads()
    with load(artifact.folder, threads=1, trust_code=True) as model:
        assert len(model.transcribe(CLIP).text) > 20
    assert torch.get_num_threads() == before


def test_an_engine_that_this_torch_lacks(artifact, tmp_path):
    foreign = republished(artifact, tmp_path / "foreign", execution={"quantized_engine": "abacus"})
    with pytest.raises(
        RuntimeLoadError, match=r"this build of torch lacks the quantized engine abacus; it has .*fbgemm"
    ):
        load(foreign.folder, trust_code=True)
    assert unsupported_reason("torchscript", {"quantized_engine": "fbgemm"}) is None


def test_code_runs_only_if_it_is_trusted(artifact):
    message = r"its model file \(torchscript\) is code, .* add --trust-code \(trust_code=True in Python\)"
    with pytest.raises(CodeNotTrustedError, match=message) as caught:
        load(artifact.folder)
    assert (caught.value.folder, caught.value.engine) == (artifact.folder, "torchscript")


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


def test_a_file_that_is_no_torchscript(artifact, tmp_path):
    broken = republished(artifact, tmp_path / "broken", model=b"not a model")
    with pytest.raises(RuntimeLoadError, match=r"model.pt: torch cannot load it \(.+\)$") as error:
        load(broken.folder, trust_code=True)
    assert "\n" not in str(error.value)


def test_built_by_a_newer_torch(artifact, tmp_path):
    newer = artifact.manifest.toolchain | {"torch": "99.0.0+cpu"}
    broken = republished(artifact, tmp_path / "broken", model=b"from the future", toolchain=newer)
    with pytest.raises(
        RuntimeLoadError, match=r"it was exported by torch 99.0.0\+cpu, newer than .* here: pip install -U"
    ):
        load(broken.folder, trust_code=True)


def test_a_model_of_other_levels(artifact, tmp_path):
    levels = dict(list(artifact.manifest.levels.items())[:-1])
    other = republished(artifact, tmp_path / "other", levels=levels)
    with pytest.raises(RuntimeLoadError, match=r"its outputs .* are not the manifest's levels"):
        load(other.folder, trust_code=True)


def test_features_that_the_model_cannot_take(artifact):
    engine = load_engine(read(artifact.folder), EngineOptions(trust_code=True))
    with pytest.raises(InferenceError, match=r"torch failed on \(1, 5, 7\) \(.+\)$"):
        engine.infer(np.zeros((1, 5, 7), np.float32), np.array([5]))


def test_reasons_are_one_line():
    assert first_line(RuntimeError("\n  a \n  b\n")) == "a"
    assert first_line(MemoryError()) == "MemoryError"
    assert last_line(RuntimeError("a\n  b\n\nRuntimeError: the end\n")) == "RuntimeError: the end"
    assert last_line(MemoryError()) == "MemoryError"
