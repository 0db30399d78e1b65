"""Real TensorRT-RTX engines of the typed graphs, built and read back without a GPU; run where there is one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from qasr import load, reference
from qasr.artifacts import read
from qasr.audio import LogMel
from qasr.exporters import (
    CalibrationRequest,
    ExportError,
    MixingRequest,
    QuantizationRequest,
    Request,
    RequestError,
    find,
)
from qasr.exporters.pipeline import export
from qasr.exporters.tensorrt import compiler
from qasr.exporters.tensorrt.options import TensorRTOptions
from qasr.exporters.tensorrt.read_back import read_back
from qasr.gpu import cuda, tensorrt
from qasr.quantizers import QuantizationError

LAYERS = 32

needs_rtx = pytest.mark.skipif(
    tensorrt.missing("rtx") is not None, reason="TensorRT-RTX is not installed: pip install 'qasr[tensorrt-rtx]'"
)
needs_gpu = pytest.mark.skipif(
    cuda.capability() not in tensorrt.RTX_CAPABILITIES, reason="no NVIDIA GPU here that TensorRT-RTX builds for"
)


@pytest.fixture
def compiled(exported, tmp_path):
    """What is read back from an engine built of a target's graph, and the engine's bytes."""

    def get(target, *capabilities, **more):
        folder = tmp_path / f"{target}-{'-'.join(capabilities)}"
        shutil.copytree(exported(target).folder, folder)
        options = TensorRTOptions(flavour="rtx", compute_capabilities=capabilities, **more)
        made = compiler.compile(find(target), options, LogMel(), folder)
        assert not (folder / "model.onnx").exists()
        return made, (folder / "model.engine").read_bytes()

    return get


@needs_rtx
@pytest.mark.parametrize("capability", ["8.6", "8.9", "12.0"])
@pytest.mark.parametrize(
    ("target", "product", "quantized", "megabytes"),
    [
        ("tensorrt-fp16", None, 0, 7.0),
        # 3.5 M parameters, of which 3.4 M in 8 bits.
        ("tensorrt-int8", "int8", LAYERS, 3.7),
        ("tensorrt-fp8", "fp8_e4m3", LAYERS, 3.7),
    ],
)
def test_engine_multiplies_what_was_asked_for(compiled, target, capability, product, quantized, megabytes):
    if (target, capability) == ("tensorrt-fp8", "8.6"):
        with pytest.raises(RequestError, match=r"GPUs of compute capability 8\.6 do not multiply FP8"):
            compiled(target, capability)
        return
    made, engine = compiled(target, capability)
    assert {name: count for name, count in made.kernels.items() if not name.startswith("fused pointwise")} == {
        **({f"product {product} x {product}": quantized} if product else {}),
        "product half x half": 38 - quantized,
        "fused attention": 4,
    }
    assert read_back(engine) == made.kernels
    assert made.execution["flavour"] == "rtx"
    assert made.execution["compute_capabilities"] == capability
    assert made.execution["kernels_from"].startswith("the engine's program: types are fixed in it")
    assert made.execution["frames"] == "1 500 1500"
    assert made.execution["batch"] == "1 1 8"
    assert int(made.execution["weight_bytes"]) == pytest.approx(megabytes * 1e6, rel=0.05)


@needs_rtx
def test_one_engine_for_several_gpus(compiled):
    """Its one program is counted once; a bound on its scratch memory changes nothing in it."""
    made, _ = compiled("tensorrt-int8", "8.6", "8.9", "12.0", workspace_bytes=1 << 30)
    assert made.execution["compute_capabilities"] == "8.6 8.9 12.0"
    assert made.kernels["product int8 x int8"] == LAYERS
    assert int(made.execution["scratch_bytes"]) < 1 << 30


@needs_rtx
def test_a_budget_holds_for_the_engine(exported, tmp_path):
    """Its program counts, which is larger than the weights of so small a model."""

    def request(budget_bytes):
        return Request(
            target="tensorrt-mixed",
            calibration=CalibrationRequest(clips=16),
            quantization=QuantizationRequest(journal=exported("tensorrt-mixed").folder.parent / "kept"),
            mixing=MixingRequest(budget_bytes=budget_bytes),
            engine=TensorRTOptions(flavour="rtx", compute_capabilities=("8.9",)),
        )

    manifest = export(request(13_000_000), tmp_path / "out").manifest
    size = sum(entry.bytes for entry in manifest.files.values())
    assert size <= manifest.options["predicted"]["bytes"] <= 13_000_000
    assert set(manifest.options["formats"].values()) == {"fp16", "int8"}
    with pytest.raises(QuantizationError, match=r"nothing fits into 4.50 MB: the smallest .* has 11\.\d\d MB"):
        export(request(4_500_000), tmp_path / "less")


@needs_rtx
def test_same_graph_same_engine(compiled, tmp_path):
    _, first = compiled("tensorrt-int8", "8.9")
    shutil.rmtree(tmp_path / "tensorrt-int8-8.9")
    _, second = compiled("tensorrt-int8", "8.9")
    assert first == second


@needs_rtx
@needs_gpu
@pytest.mark.parametrize("target", ["tensorrt-fp16", "tensorrt-int8"])
def test_engine_runs(exported, tmp_path, target):
    """On this machine's GPU: verified there, and hears what the graph hears."""
    artifact = export(Request(target=target, engine=TensorRTOptions(flavour="rtx")), tmp_path / "out")
    assert artifact.manifest.execution["verified"] == "the engine, on this GPU"
    clips = [reference.EVALUATION.parent / name for name in ("000-m3.flac", "001-annie.flac", "157-annie.flac")]
    with load(exported(target).folder) as graph, load(artifact.folder, device="cuda") as engine:
        for alone, together in zip(map(graph.transcribe, clips), engine.transcribe_batch(clips), strict=True):
            assert together.text == alone.text


@needs_rtx
def test_whole_command(one_layer, tmp_path):
    """What this project's user typed first; the artifact is verified, read back, and refused where no GPU is."""
    output = tmp_path / "out"
    arguments = [one_layer, "--to", "tensorrt-int8", "--flavour", "rtx", "--compute-capability", "8.9", "-o", output]
    arguments += ["--calibration", reference.CALIBRATION, "--calibration-clips", 8]
    arguments += ["--max-seconds", "20", "--max-batch", "4"]
    program = "from qasr.cli.qexport import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    manifest = read(output).manifest
    tokenizer = {"vocab.json", "tokenizer_config.json", "added_tokens.json"}
    assert set(manifest.files) == {"model.engine", "config.json", "preprocessor_config.json", *tokenizer}
    assert (manifest.target, manifest.engine, manifest.method) == ("tensorrt-int8", "tensorrt", "static")
    assert manifest.execution["verified"] in ("the engine, on this GPU", "its graph, under ONNX Runtime on a CPU")
    assert manifest.precision.integer_kernels == manifest.precision.quantized_layers == LAYERS // 4
    assert manifest.parity.relative_error < 2e-2
    assert manifest.fidelity.relative_error < 2e-2
    assert (manifest.limits.min_frames, manifest.limits.max_frames, manifest.limits.max_batch) == (1, 1000, 4)
    program = "from qasr.cli.qinfer import run; run()"
    command = [sys.executable, "-c", program, "reference/evaluation/000-m3.flac", "--artifact", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:  # no GPU here
        assert done.stderr.startswith(f"qinfer: error: {output}: ")
        assert done.stderr.count("\n") == 1


@needs_rtx
def test_a_graph_that_is_none(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    options = TensorRTOptions(flavour="rtx", compute_capabilities=("8.9",))
    with pytest.raises(ExportError, match=r"TensorRT built no engine \(the graph: ") as error:
        compiler.compile(find("tensorrt-int8"), options, LogMel(), tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@needs_rtx
def test_fp8_where_the_gpu_has_none(exported, tmp_path):
    """TensorRT's own reason arrives as one line."""
    folder = tmp_path / "graph"
    shutil.copytree(exported("tensorrt-fp8").folder, folder)
    plan = {
        "flavour": "rtx",
        "onnx": str(folder / "model.onnx"),
        "engine": str(folder / "model.engine"),
        "capabilities": ["8.6"],
        "profile": compiler.profile(TensorRTOptions(), LogMel()),
        "workspace_bytes": 1 << 30,
        "timing_cache": None,
    }
    with pytest.raises(ExportError, match=r"TensorRT built no engine \(.+\)$") as error:
        compiler._in_a_fresh_process(plan)
    assert "\n" not in str(error.value)
    assert not (folder / "model.engine").exists()
