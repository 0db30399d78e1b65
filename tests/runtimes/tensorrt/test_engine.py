"""The TensorRT engine with fakes of CUDA and TensorRT, so that no GPU is needed."""

from __future__ import annotations

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import numpy as np
import pytest

from qasr import load
from qasr.artifacts import ArtifactError, InputLimits, create
from qasr.gpu import cuda
from qasr.runtimes import (
    DeviceError,
    EngineOptions,
    InferenceError,
    OptionError,
    RuntimeLoadError,
    load_engine,
)
from qasr.runtimes.tensorrt import engine as runtime

from .fake_cuda import FakeCuda, FakeTrt

LEVELS = {"letters": 4, "loud": 2}
LIMITS = InputLimits(1, 1500, 4)
EXECUTION = {"flavour": "tensorrt", "tensorrt": "1.7.0", "compute_capabilities": "8.6 8.9"}


@pytest.fixture
def make_artifact(tmp_path, make_manifest):
    def make(limits=LIMITS, **execution):
        with create(tmp_path / "engine") as staging:
            (staging.folder / "model.engine").write_bytes(b"an engine")
            settings = EXECUTION | execution
            return staging.publish(make_manifest("tensorrt-int8", engine="tensorrt", execution=settings, limits=limits))

    return make


@pytest.fixture
def artifact(make_artifact):
    return make_artifact()


@pytest.fixture
def gpu(monkeypatch):
    """Replaces CUDA and TensorRT by fakes, and returns the one of CUDA."""

    def put(fake=None, **options):
        fake = fake or FakeCuda()
        monkeypatch.setattr(cuda, "bindings", lambda: fake)
        fake.trt = FakeTrt(fake, LEVELS, **options)
        monkeypatch.setattr(runtime.tensorrt, "load", lambda flavour: fake.trt)
        monkeypatch.setattr(runtime.tensorrt, "missing", lambda flavour: None)
        return fake

    return put


def random_batch(batch=2, frames=7, seed=0):
    features = np.random.default_rng(seed).standard_normal((batch, frames, 160)).astype(np.float32)
    return features, np.array([frames, *[frames - 2] * (batch - 1)], np.int64)


def expected(features, lengths):
    sums = features.sum(-1) * (np.arange(features.shape[1])[None] < lengths[:, None])
    return {level: sums[..., None] * np.arange(width) for level, width in LEVELS.items()}


def check(engine, *call):
    result = engine.infer(*call)
    for level, logits in expected(*call).items():
        np.testing.assert_allclose(result[level], logits, rtol=1e-4, atol=1e-4)
        assert result[level].dtype == np.float32


def test_computes_what_the_engine_does(artifact, gpu):
    gpu()
    engine = load_engine(artifact, EngineOptions(device="cuda"))
    check(engine, *random_batch())
    check(engine, *random_batch(1, 3))
    check(engine, *random_batch(3, 11))
    assert engine.kernels() == {"inspected layers": 2}


def test_a_shape_that_repeats_is_a_graph(artifact, gpu):
    """Run, recorded and launched, launched: with new values each time."""
    fake = gpu()
    engine = load_engine(artifact, EngineOptions())
    for seed in range(4):
        fake.calls.clear()
        check(engine, *random_batch(seed=seed))
        assert ("cudaStreamBeginCapture" in fake.calls) is (seed == 1)
        assert ("cudaGraphLaunch" in fake.calls) is (seed > 0)
        assert ("cudaMalloc" in fake.calls) is (seed == 0)
    assert len(fake.graphs) == 1


def test_graphs_go_when_their_buffers_do(artifact, gpu):
    fake = gpu()
    engine = load_engine(artifact, EngineOptions())
    for _ in range(2):
        check(engine, *random_batch())
    assert len(fake.graphs) == 1
    check(engine, *random_batch(4, 50))
    assert not fake.graphs
    check(engine, *random_batch())
    check(engine, *random_batch(seed=5))


def test_a_batch_over_the_engines_goes_through_in_parts(artifact, gpu):
    fake = gpu(largest=(4, 1500))
    engine = load_engine(artifact, EngineOptions())
    check(engine, *random_batch(9, 5))
    assert fake.calls.count("cudaStreamSynchronize") == 3


def test_close_releases_all(artifact, gpu):
    fake = gpu()
    engine = load_engine(artifact, EngineOptions())
    for _ in range(3):
        check(engine, *random_batch())
    assert len(fake.memory) == 8
    engine.close()
    assert not fake.memory
    assert not fake.graphs
    assert fake.calls[-1] == "cudaStreamDestroy"


def test_two_streams(artifact, gpu, monkeypatch):
    """Two batches are on the GPU at once, each in its own memory; each thread selects the GPU."""
    fake = gpu()
    engine = load_engine(artifact, EngineOptions(streams=2))
    together = Barrier(2, timeout=20)

    def synchronize(stream):
        together.wait()
        return ()

    monkeypatch.setattr(fake, "_cudaStreamSynchronize", synchronize, raising=False)
    fake.calls.clear()
    with ThreadPoolExecutor(2) as pool:
        batches = [random_batch(seed=seed) for seed in range(2)]
        for call, result in zip(batches, pool.map(lambda call: engine.infer(*call), batches), strict=True):
            np.testing.assert_allclose(result["letters"], expected(*call)["letters"], rtol=1e-4, atol=1e-4)
    assert len(fake.memory) == 2 * 8
    assert fake.calls.count("cudaSetDevice") == 2
    engine.close()
    assert not fake.memory
    assert fake.calls.count("cudaStreamDestroy") == 2


def test_too_long_a_batch(artifact, gpu):
    gpu()
    engine = load_engine(artifact, EngineOptions())
    with pytest.raises(InferenceError, match="1600 frames are more than the 1500 it was built for"):
        engine.infer(*random_batch(1, 1600))


def test_a_shape_that_the_engine_refuses(artifact, gpu):
    gpu(largest=(4, 10))
    engine = load_engine(artifact, EngineOptions())
    with pytest.raises(InferenceError, match=r"the GPU failed on \(1, 20, 160\) \(features .* is outside the range"):
        engine.infer(*random_batch(1, 20))


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        (
            "cudaMalloc",
            2,
            r"on \(2, 7, 160\) \(cudaMalloc failed \(cudaErrorMemoryAllocation\)\); use a smaller --batch-seconds",
        ),
        (
            "cudaStreamSynchronize",
            46,
            r"\(cudaStreamSynchronize failed \(cudaErrorDevicesUnavailable\)\); its context is lost, start again",
        ),
    ],
)
def test_a_gpu_that_fails(artifact, gpu, call, status, message):
    fake = gpu()
    engine = load_engine(artifact, EngineOptions())
    fake.fail, fake.status = call, status
    with pytest.raises(InferenceError, match=message) as error:
        engine.infer(*random_batch())
    assert "\n" not in str(error.value)
    fake.fail = "cudaFree"
    engine.close()


@pytest.mark.parametrize(
    ("fake", "options", "kind", "message"),
    [
        (FakeCuda((9, 0)), {}, RuntimeLoadError, "built for GPUs of compute capability 8.6, 8.9, and this one has 9.0"),
        (FakeCuda(devices=0), {}, RuntimeLoadError, "needs an NVIDIA GPU with its driver, and this machine has none"),
        (
            FakeCuda(),
            {"device": "cuda:3"},
            DeviceError,
            "needs an NVIDIA GPU with its driver; this machine has no 'cuda:3'",
        ),
        (FakeCuda(), {"device": "npu"}, DeviceError, "runs on cuda or cuda:N, not on 'npu'"),
        (FakeCuda(), {"precision": "fp16"}, OptionError, "takes no precision"),
        (FakeCuda(fail="cudaStreamCreate"), {}, RuntimeLoadError, "cudaStreamCreate failed"),
    ],
)
def test_refused_at_load(artifact, gpu, fake, options, kind, message):
    gpu(fake)
    with pytest.raises(kind, match=message) as error:
        load_engine(artifact, EngineOptions(**options))
    assert "\n" not in str(error.value)


def test_an_engine_of_another_release_or_a_damaged_one(artifact, gpu):
    gpu(loads=False)
    message = (
        r"TensorRT 1.7.1 cannot load it \(the magic tag does not match\); it was built by 1.7.0: export it again here"
    )
    with pytest.raises(RuntimeLoadError, match=message):
        load_engine(artifact, EngineOptions())


def test_a_damaged_engine_is_refused_by_its_hash(artifact, gpu):
    gpu()
    (artifact.folder / "model.engine").write_bytes(b"an engin?")
    with pytest.raises(ArtifactError, match=r"model.engine: changed since it was exported \(SHA-256 differs\)"):
        load(artifact.folder, device="cuda")


def test_longer_recordings_go_through_in_windows(make_artifact, gpu):
    """3 s is the longest that this engine takes."""
    gpu(largest=(4, 150))
    samples = np.random.default_rng(0).standard_normal(16_000 * 10).astype(np.float32)
    with load(make_artifact(InputLimits(1, 150, 4)).folder, device="cuda") as model:
        result = model.transcribe(samples, sample_rate=16_000)
    assert result.seconds == 10.0


def test_shorter_clips_are_padded(make_artifact, gpu):
    gpu(shortest=50)
    engine = load_engine(make_artifact(InputLimits(50, 1500, 4)), EngineOptions())
    call = random_batch(2, 7)
    result = engine.infer(*call)
    for level, logits in expected(*call).items():
        np.testing.assert_allclose(result[level][:, :7], logits, rtol=1e-4, atol=1e-4)


def test_tensorrt_rtx_makes_its_own_graphs_and_keeps_its_kernels(make_artifact, gpu, tmp_path):
    artifact, fake = make_artifact(flavour="rtx"), gpu()
    options = EngineOptions(cache=tmp_path / "cache")
    kept = tmp_path / "cache" / "tensorrt-rtx" / f"{artifact.manifest.digest[:16]}.kernels"
    for start in range(2):
        engine = load_engine(artifact, options)
        for seed in range(3):
            check(engine, *random_batch(seed=seed))
        engine.close()
        assert kept.read_bytes() == b"kernels" + b" more" * (start + 1)
    assert "cudaStreamBeginCapture" not in fake.calls
    assert {config.cuda_graph_strategy for config in fake.trt.configs} == {"whole"}
    kept.write_bytes(b"of another GPU")
    load_engine(artifact, options).close()
    assert kept.read_bytes() == b"kernels more"
    assert list(kept.parent.iterdir()) == [kept]
    fake.trt.configs.clear()
    load_engine(artifact, EngineOptions()).close()
    assert fake.trt.configs[0].cache is None


def test_kernels_that_cannot_be_kept(make_artifact, gpu, tmp_path):
    gpu()
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(
        RuntimeLoadError, match=r"kernels: compiled kernels cannot be kept there \(.*\); use --no-cache"
    ):
        load_engine(make_artifact(flavour="rtx"), EngineOptions(cache=tmp_path / "cache"))


def test_the_other_flavour(make_artifact, gpu, monkeypatch):
    artifact = make_artifact(flavour="rtx")
    gpu()
    monkeypatch.setattr(runtime.tensorrt, "missing", lambda flavour: "tensorrt_rtx_bindings")
    with pytest.raises(
        RuntimeLoadError, match=r"tensorrt_rtx_bindings is not installed; pip install 'qasr\[tensorrt-rtx"
    ):
        load_engine(artifact, EngineOptions())


def test_an_engine_of_other_levels(artifact, gpu, tmp_path):
    gpu()
    manifest = msgspec.structs.replace(artifact.manifest, levels={"letters": artifact.manifest.levels["letters"]})
    with pytest.raises(RuntimeLoadError, match=r"its outputs .* are not the manifest's levels"):
        load_engine(dataclasses.replace(artifact, manifest=manifest), EngineOptions())


@pytest.mark.parametrize(
    ("flavours", "capability", "message"),
    [
        ([], (8, 9), r"TensorRT is not installed; pip install 'qasr\[tensorrt-rtx\]'"),
        (["rtx"], (9, 0), r"TensorRT-RTX has no engines for this GPU \(9.0\); pip install tensorrt"),
        (["tensorrt", "rtx"], (9, 0), None),
        (["rtx"], (8, 9), None),
    ],
)
def test_reasons_in_the_list_of_targets(monkeypatch, flavours, capability, message):
    monkeypatch.setattr(cuda, "bindings", lambda: FakeCuda(capability))
    monkeypatch.setattr(runtime.tensorrt, "installed", lambda: flavours)
    result = runtime.unsupported_reason({})
    assert (result is None) if message is None else re.match(message, result)


def test_without_a_gpu(monkeypatch):
    fake = FakeCuda(devices=0)
    monkeypatch.setattr(cuda, "bindings", lambda: fake)
    assert cuda.capability() is None
    monkeypatch.setattr(cuda, "bindings", lambda: FakeCuda((12, 0)))
    assert cuda.capability() == "12.0"
    assert cuda.capability(1) is None
