"""The OpenVINO engine: settings, the cache of compiled models, devices and errors."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from qasr import load, reference
from qasr.artifacts import create
from qasr.runtimes import (
    DeviceError,
    EngineOptions,
    Model,
    OptionError,
    RuntimeLoadError,
    load_engine,
    unsupported_reason,
)
from qasr.runtimes.openvino import engine as runtime

CLIPS = sorted((reference.EVALUATION.parent).glob("*.flac"))[:6]


@pytest.fixture
def artifact(exported):
    return exported("openvino-int8")


def republished(artifact, folder, **changes):
    """A valid copy of an artifact with another manifest or other files."""
    with create(folder) as staging:
        for name in artifact.manifest.files:
            shutil.copy(artifact.folder / name, staging.folder / name)
        for name, content in changes.pop("contents", {}).items():
            (staging.folder / name).write_bytes(content)
        return staging.publish(msgspec.structs.replace(artifact.manifest, **changes))


def test_compiled_model_is_cached(artifact, tmp_path):
    texts = []
    for _ in range(2):
        with load(artifact.folder, cache=tmp_path) as model:
            texts.append(model.transcribe(CLIPS[0]).text)
    blobs = list(tmp_path.rglob("*.blob"))
    assert len(blobs) == 1
    assert blobs[0].parent == tmp_path / "openvino" / artifact.manifest.digest[:16]
    engine = load_engine(artifact, EngineOptions(cache=tmp_path))
    assert engine.compiled.get_property("LOADED_FROM_CACHE") is True
    texts.append(Model(artifact, engine).transcribe(CLIPS[0]).text)
    assert len(set(texts)) == 1
    assert len(texts[0]) > 20


def test_a_damaged_cache_is_no_error(artifact, tmp_path):
    with load(artifact.folder, cache=tmp_path) as model:
        expected = model.transcribe(CLIPS[0]).text
    blob = next(tmp_path.rglob("*.blob"))
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:1000])
    with load(artifact.folder, cache=tmp_path) as model:
        assert model.transcribe(CLIPS[0]).text == expected


def test_no_cache(artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with load(artifact.folder, cache=None) as model:
        assert model.transcribe(CLIPS[0]).text
    assert list(tmp_path.rglob("*")) == []


def test_threads_and_streams(artifact):
    engine = load_engine(artifact, EngineOptions(threads=2, streams=2))
    assert engine.compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert engine.compiled.get_property("NUM_STREAMS") == 2
    with Model(artifact, engine, streams=2) as model:
        many = model.transcribe_batch(CLIPS, batch_seconds=4)
    engine = load_engine(artifact, EngineOptions(threads=1))
    assert engine.compiled.get_property("NUM_STREAMS") == 1
    with Model(artifact, engine) as model:
        alone = [model.transcribe(clip) for clip in CLIPS]
    assert [each.audio for each in many] == [str(clip) for clip in CLIPS]
    agreeing = sum(left.text == right.text for left, right in zip(many, alone, strict=True))
    assert agreeing >= 5, "batches may move single INT8 roundings, no more"


def test_callers_share_the_streams(artifact):
    random = np.random.default_rng(0)
    inputs = [random.standard_normal((1, frames, 160)).astype(np.float32) for frames in (30, 60, 90, 120)]
    engine = load_engine(artifact, EngineOptions(threads=1))
    expected = [engine.infer(each, np.array([2 * each.shape[1]]))["phonemes"] for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda each: engine.infer(each, np.array([2 * each.shape[1]]))["phonemes"], inputs))
    for left, right in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(("precision", "expected"), [("fp32", "float32"), (None, "bfloat16")])
def test_precision_is_the_requested_one(artifact, precision, expected):
    engine = load_engine(artifact, EngineOptions(precision=precision))
    assert str(engine.compiled.get_property("INFERENCE_PRECISION_HINT")) == f"<Type: '{expected}'>"


def test_a_precision_that_the_cpu_lacks(artifact, monkeypatch):
    monkeypatch.setattr(runtime, "_capable", lambda core, device, precision: precision == "fp32")
    with pytest.raises(RuntimeLoadError, match=r"does not compute in bf16; use precision fp32"):
        load(artifact.folder)
    with pytest.raises(RuntimeLoadError, match=r"does not compute in fp16; use precision fp32"):
        load(artifact.folder, precision="fp16")
    with load(artifact.folder, precision="fp32") as model:
        assert model.transcribe(CLIPS[0]).text
    assert "does not compute in bf16" in unsupported_reason("openvino", {"precision": "bf16"})
    assert unsupported_reason("openvino", {"precision": "fp32"}) is None


def test_an_unknown_hint(artifact):
    with pytest.raises(OptionError, match="no precision 'int3'; available are fp32, bf16, fp16"):
        load(artifact.folder, precision="int3")


def test_a_missing_device(artifact):
    with pytest.raises(DeviceError, match="OpenVINO has no device 'tpu' here; available are cpu"):
        load(artifact.folder, device="tpu")


@pytest.mark.parametrize("content", [b"not a model", b"<?xml version='1.0'?><net name='x' version='11'><layers>"])
def test_a_file_that_is_no_model(artifact, tmp_path, content):
    broken = republished(artifact, tmp_path / "broken", contents={"openvino_model.xml": content})
    with pytest.raises(RuntimeLoadError, match=r"openvino_model.xml: OpenVINO cannot load it \(.+\)$") as error:
        load(broken.folder, cache=None)
    assert "\n" not in str(error.value)


def test_built_by_a_newer_engine(artifact, tmp_path):
    newer = artifact.manifest.toolchain | {"openvino": "2099.1.0"}
    broken = republished(
        artifact, tmp_path / "broken", toolchain=newer, contents={"openvino_model.xml": b"<net version='99'/>"}
    )
    with pytest.raises(
        RuntimeLoadError, match=r"it was exported by openvino 2099.1.0, newer than .* here: pip install -U"
    ):
        load(broken.folder, cache=None)


def test_a_model_of_other_levels(exported, artifact, tmp_path):
    levels = dict(list(artifact.manifest.levels.items())[:-1])
    other = republished(artifact, tmp_path / "other", levels=levels)
    with pytest.raises(RuntimeLoadError, match=r"its outputs .* are not the manifest's levels"):
        load(other.folder, cache=None)
