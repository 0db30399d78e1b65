"""Typed Q/DQ graphs, and real TensorRT-RTX engines of them, built and read back without a GPU."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import onnx
import pytest
import torch
from torch import nn

from qasr.artifacts import read
from qasr.exporters import TARGETS, ExportError, find, tensorrt_build, tensorrt_engine
from qasr.exporters.asked import Mixing
from qasr.exporters.build import BuildOptions, Shapes
from qasr.exporters.pipeline import ExportOptions, export
from qasr.exporters.tensorrt_plan import read_back
from qasr.exporters.typed_qdq import TypedLinear, typed_graph
from qasr.gpu import tensorrt
from qasr.gpu.errors import GpuError
from qasr.quantizers import DynamicLinear, Fp8Linear, Options, StaticLinear, WeightScheme, quantize
from qasr.quantizers.static import range_of

SHAPES = Shapes(1, 500, 1500, 8, 160)
LAYERS = 32

needs_rtx = pytest.mark.skipif(
    tensorrt.missing("rtx") is not None, reason="TensorRT-RTX is not installed: pip install 'qasr[tensorrt-rtx]'"
)


@pytest.fixture
def graph(exported):
    """The typed ONNX model of a target."""
    return lambda target: onnx.load(exported(target).path("model.onnx"))


@pytest.fixture
def compiled(exported, tmp_path):
    """What is read back from an engine built of a target's graph, and the engine's bytes."""

    def get(target, *capabilities):
        folder = tmp_path / f"{target}-{'-'.join(capabilities)}"
        shutil.copytree(exported(target).folder, folder)
        options = BuildOptions(flavour="rtx", compute_capabilities=capabilities)
        made = tensorrt_engine.compile(find(target), options, SHAPES, folder)
        assert not (folder / "model.onnx").exists()
        return made, (folder / "model.engine").read_bytes()

    return get


@pytest.mark.parametrize(
    ("target", "kind", "quantized"),
    [("tensorrt-int8", onnx.TensorProto.INT8, 32), ("tensorrt-fp8", onnx.TensorProto.FLOAT8E4M3FN, 32)],
)
def test_graph_is_typed_and_symmetric(graph, target, kind, quantized):
    model = graph(target)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 19
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = Counter(node.op_type for node in model.graph.node)
    assert nodes["QuantizeLinear"] == quantized
    assert nodes["DequantizeLinear"] == 2 * quantized
    assert stored["layers.0.ffn1.intermediate.weight"].data_type == kind
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            zero = stored[node.input[2]]
            assert zero.data_type == kind
            assert not any(onnx.numpy_helper.to_array(zero).view("u1").ravel())
            assert stored[node.input[1]].data_type == onnx.TensorProto.FLOAT16
    floats = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert not floats, "what is not quantized is float16"


def test_attention_stays_as_it_is(graph):
    """Nothing is quantized between the projections: the products of attention and the softmax are fused."""
    model = graph("tensorrt-int8")
    producers = {output: node for node in model.graph.node for output in node.output}
    softmax = [node for node in model.graph.node if node.op_type == "Softmax"]
    assert len(softmax) == 4
    for node in softmax:
        weighted = next(user for user in model.graph.node if node.output[0] in user.input)
        assert weighted.op_type == "MatMul"
        added = producers[node.input[0]]
        assert added.op_type == "Add"
        assert {producers[name].op_type for name in added.input if name in producers} == {"Add", "Unsqueeze"}


@needs_rtx
@pytest.mark.parametrize(
    ("target", "capability", "product", "quantized"),
    [
        ("tensorrt-int8", "8.6", "int8", 32),
        ("tensorrt-int8", "8.9", "int8", 32),
        ("tensorrt-int8", "12.0", "int8", 32),
        ("tensorrt-fp8", "8.9", "fp8_e4m3", 32),
        ("tensorrt-fp8", "12.0", "fp8_e4m3", 32),
    ],
)
def test_engine_multiplies_what_was_asked_for(compiled, target, capability, product, quantized):
    made, engine = compiled(target, capability)
    assert made.kernels[f"product {product} x {product}"] == quantized
    assert made.kernels["product half x half"] == 6
    assert made.kernels["fused attention"] == 4
    assert read_back(engine) == made.kernels
    assert made.execution["flavour"] == "rtx"
    assert made.execution["compute_capabilities"] == capability
    assert made.execution["frames"] == "1 500 1500"
    assert made.execution["batch"] == "1 1 8"
    # 3.5 M parameters, of which 3.4 M in 8 bits.
    assert 3.5e6 < int(made.execution["weight_bytes"]) < 3.9e6


@needs_rtx
def test_same_graph_same_engine(compiled, tmp_path):
    _, first = compiled("tensorrt-int8", "8.9")
    shutil.rmtree(tmp_path / "tensorrt-int8-8.9")
    _, second = compiled("tensorrt-int8", "8.9")
    assert first == second


@needs_rtx
def test_whole_command(tmp_path):
    """What this project's user typed first; the artifact is verified, read back, and refused where no GPU is."""
    output = tmp_path / "out"
    arguments = ["reference", "--to", "tensorrt-int8", "--flavour", "rtx", "--compute-capability", "8.9", "-o", output]
    arguments += ["--max-seconds", "20", "--max-batch", "4"]
    program = "from qasr.cli.qexport import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    manifest = read(output).manifest
    assert set(manifest.files) == {"model.engine", "config.json", "vocab.json", "preprocessor_config.json"}
    assert (manifest.target, manifest.engine, manifest.method) == ("tensorrt-int8", "tensorrt", "static")
    assert manifest.execution["verified"] in ("the engine, on this GPU", "its graph, under ONNX Runtime on a CPU")
    assert manifest.precision.integer_kernels == manifest.precision.quantized_layers == LAYERS
    assert manifest.parity.relative_error < 2e-2
    assert manifest.fidelity.disagreement["phonemes"] < 5e-3
    assert (manifest.limits.min_frames, manifest.limits.max_frames, manifest.limits.max_batch) == (1, 1000, 4)
    program = "from qasr.cli.qinfer import run; run()"
    command = [sys.executable, "-c", program, "reference/evaluation/000-m3.flac", "--artifact", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:  # no GPU here
        assert done.stderr.startswith(f"qinfer: error: {output}: ")
        assert done.stderr.count("\n") == 1


def test_graph_alone(exported):
    """``--onnx-only``: named for what it is, with the command that builds the engine."""
    manifest = exported("tensorrt-int8").manifest
    assert (manifest.target, manifest.engine) == ("tensorrt-int8-onnx", "onnx")
    assert manifest.execution["build"] == (
        "trtexec --onnx=model.onnx --stronglyTyped --minShapes=features:1x1x160,lengths:1 "
        "--optShapes=features:1x500x160,lengths:1 --maxShapes=features:8x1500x160,lengths:8 --saveEngine=model.engine"
    )
    assert manifest.precision.quantized_layers == LAYERS
    assert manifest.fidelity.relative_error < 2e-2


def test_mixed_within_the_budget(exported):
    """Layers are FP16 or INT8, as the budget leaves them; few clips cannot tell INT8 from float."""
    manifest = exported("tensorrt-mixed").manifest
    formats = manifest.options["formats"]
    assert (manifest.method, manifest.options["budget"]) == ("sensitivity", {"points": 0.2})
    assert set(formats.values()) <= {"fp16", "int8"}
    assert manifest.precision.quantized_layers == sum(form == "int8" for form in formats.values()) > LAYERS // 2
    assert manifest.options["measured"]["points"] <= 0.2


def test_map_keeps_layers_in_fp16(exported, tmp_path):
    options = ExportOptions(
        calibration_clips=8, mixing=Mixing(precision_map="typical"), build=BuildOptions(onnx_only=True)
    )
    mixed, whole = export("reference", "tensorrt-mixed", tmp_path / "out", options).manifest, exported("tensorrt-int8")
    assert mixed.precision.quantized_layers == LAYERS - 2 * 4
    assert mixed.fidelity.relative_error < 0.85 * whole.manifest.fidelity.relative_error
    assert mixed.precision.weight_bytes["int8"] < whole.manifest.precision.weight_bytes["int8"]


def test_fp16(exported):
    manifest = exported("tensorrt-fp16").manifest
    assert manifest.precision.quantized_layers == 0
    assert manifest.parity.relative_error < 2e-3
    assert manifest.fidelity.relative_error < 2e-3


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (StaticLinear(nn.Linear(4, 4), (-1.0, 3.0)), "takes symmetric inputs and float outputs, not int8 weights"),
        (
            StaticLinear(nn.Linear(4, 4), (-128 / 127, 1.0), (-1.0, 1.0)),
            "float outputs, not int8 weights, static uint8",
        ),
        (DynamicLinear(nn.Linear(4, 4)), "cannot express int8 weights, dynamic uint8 input"),
    ],
)
def test_schemes_that_no_engine_takes(layer, message):
    with pytest.raises(ExportError, match=f"layers.0: .*{message}"):
        TypedLinear("layers.0", layer)


def test_symmetric_ranges_are_int8_without_a_zero_point():
    class Seen:
        def range(self):
            return -0.5, 2.54

    layer = StaticLinear(nn.Linear(4, 4), range_of(Seen(), Options(symmetric_inputs=True)))
    assert int(layer.input_zero_point) == 128
    assert float(layer.input_scale) == pytest.approx(2.54 / 127)
    assert range_of(Seen(), Options()) == (-0.5, 2.54)


def test_fp8_layer_by_hand():
    linear = nn.Linear(3, 2)
    linear.weight = nn.Parameter(torch.tensor([[448.0, 1.0, -0.3], [8.96, 0.0, 0.02]]))
    linear.bias = nn.Parameter(torch.tensor([1.0, -1.0]))
    layer = Fp8Linear(linear, (-1.0, 4.48))
    assert layer.weight_scale.tolist() == pytest.approx([1.0, 0.02])
    # E4M3 has 3 bits of mantissa: next to 0.3 lie 0.28125 and 0.3125.
    assert layer.weight.float().t().tolist() == [[448.0, 1.0, -0.3125], [448.0, 0.0, 1.0]]
    assert float(layer.input_scale) == pytest.approx(0.01)
    found = layer(torch.tensor([[4.48, 1.0, 100.0]]))
    # Inputs of 448, 96 (of 100, half way to 104: even), and 448 for all that is beyond.
    expected = torch.tensor([[448.0, 1.0, -0.3125], [8.96, 0.0, 0.02]]) @ torch.tensor([4.48, 0.96, 4.48])
    assert torch.allclose(found[0], expected + linear.bias, rtol=1e-5)
    assert str(layer.scheme) == "e4m3 weights, static e4m3 input"
    half = Fp8Linear(linear, (-1.0, 4.48)).half()
    assert torch.equal(half.weight.float(), layer.weight.float())


def test_fp8_on_the_bundled_model(exported):
    manifest = exported("tensorrt-fp8").manifest
    assert manifest.precision.weight_bytes["float8e4m3fn"] > 3_300_000
    assert 1e-3 < manifest.fidelity.relative_error < 2e-2
    assert manifest.options["weights"] == "e4m3"


@pytest.mark.parametrize(
    ("target", "flavour", "capabilities", "message"),
    [
        (
            "tensorrt-fp8",
            "rtx",
            ("8.6",),
            "compute capability 8.6 do not multiply FP8; take 8.9 or later, or tensorrt-int8",
        ),
        ("tensorrt-fp8", "rtx", ("8.6", "8.9"), "compute capability 8.6 do not multiply FP8"),
        ("tensorrt-int8", "rtx", ("9.0",), "does not build for compute capability 9.0; it knows 7.5, 8.0"),
        ("tensorrt-int8", "tensorrt", ("8.9",), "builds for the GPU that is here .*, not for 8.9; use --flavour rtx"),
    ],
)
def test_gpus_that_cannot_be_built_for(monkeypatch, target, flavour, capabilities, message):
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: None)
    with pytest.raises(ExportError, match=message):
        tensorrt_engine.capabilities_for(find(target), flavour, BuildOptions(compute_capabilities=capabilities))


def test_gpus_that_are_built_for(monkeypatch):
    choose = tensorrt_engine.capabilities_for
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: None)
    assert choose(find("tensorrt-int8"), "rtx", BuildOptions()) == ["8.6", "8.9", "12.0"]
    assert choose(find("tensorrt-fp8"), "rtx", BuildOptions()) == ["8.9", "12.0"]
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: "8.9")
    assert choose(find("tensorrt-int8"), "rtx", BuildOptions()) == ["8.9"]
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: "9.0")
    assert choose(find("tensorrt-int8"), "tensorrt", BuildOptions()) == ["9.0"]
    assert choose(find("tensorrt-int8"), "rtx", BuildOptions()) == ["8.6", "8.9", "12.0"]


@pytest.mark.parametrize(
    ("there", "gpu", "options", "message"),
    [
        ((), None, {}, r"no TensorRT that can build here is installed; pip install 'qasr\[tensorrt-rtx\]'"),
        (("tensorrt",), None, {}, "no TensorRT that can build here is installed"),
        (
            ("tensorrt",),
            None,
            {"flavour": "tensorrt"},
            "builds engines on the GPU that runs them, and there is none here",
        ),
        (("tensorrt",), "9.0", {"flavour": "rtx"}, "rtx is not installed; pip install .*, or give --onnx-only"),
        (("tensorrt",), "9.0", {}, None),
        (("rtx",), None, {}, None),
    ],
)
def test_what_is_missing_to_build(monkeypatch, there, gpu, options, message):
    monkeypatch.setattr(tensorrt_engine.tensorrt, "missing", lambda name: None if name in there else name)
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: gpu)
    found = tensorrt_engine.obstacle(BuildOptions(**options))
    if message is None:
        assert found is None
    else:
        assert re.search(message, found)
    assert find("tensorrt-int8").cannot_compile(BuildOptions(onnx_only=True)) is None


@needs_rtx
def test_a_graph_that_is_none(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    options = BuildOptions(flavour="rtx", compute_capabilities=("8.9",))
    with pytest.raises(ExportError, match=r"TensorRT built no engine \(the graph: ") as error:
        tensorrt_engine.compile(find("tensorrt-int8"), options, SHAPES, tmp_path)
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
        "shapes": dataclasses.asdict(SHAPES),
        "workspace_bytes": 1 << 30,
        "timing_cache": None,
    }
    with pytest.raises(ExportError, match=r"TensorRT built no engine \(.+\)$") as error:
        tensorrt_engine._in_a_fresh_process(plan)
    assert "\n" not in str(error.value)
    assert not (folder / "model.engine").exists()


def test_a_plan_without_a_program():
    assert read_back(b"ftrt nothing of the sort") == {}


def test_a_plan_by_hand():
    """Names are those of the last program before; a tensor may hold braces in its own fields."""
    plan = (
        b'junk\0tensor={ dims={ 1 2 } name="a" strides={ 2 1 } type=int8 } tensor={ name="w" type=int8 }\n'
        b'fully_connected={ name="p" output={"y"} input={"a" "w" "alpha"} stream=0 }\n'
        b'tensor={ name="a" type=half }\nfully_connected={ name="q" output={"y"} input={"a" "v"} }\n'
        b"function={ name=_gemm_mha_v2_0x05 fqn=x } function={ name=__myl_Add_0x1 }"
    )
    assert read_back(plan) == {
        "fused attention": 1,
        "fused pointwise": 1,
        "product half x unknown": 1,
        "product int8 x int8": 1,
    }


class FakeInspector:
    def get_engine_information(self, form):
        gemm = {"LayerType": "gemm", "Inputs": [{"Format/Datatype": "Int8"}, {"Format/Datatype": "Int8"}]}
        return json.dumps({"Layers": [gemm, gemm, "a name alone", {"LayerType": "softmax", "Inputs": []}]})


def test_data_centre_engines_are_inspected():
    class Engine:
        def create_engine_inspector(self):
            return FakeInspector()

    class Trt:
        class LayerInformationFormat:
            JSON = 1

        class Runtime:
            def __init__(self, logger):
                pass

            def deserialize_cuda_engine(self, engine):
                return Engine()

    assert tensorrt_build._inspected(Trt, None, b"") == {"gemm Int8 x Int8": 2, "softmax": 1}


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setattr(tensorrt.importlib.util, "find_spec", lambda name: None)
    assert tensorrt.installed() == []
    with pytest.raises(GpuError, match=r"tensorrt_rtx_bindings is not installed; pip install 'qasr\[tensorrt-rtx\]'"):
        tensorrt.load("rtx")
    with pytest.raises(GpuError, match="tensorrt is not installed; pip install tensorrt"):
        tensorrt.load("tensorrt")


def test_methods_reach_tensorrt(make_reference):
    """SmoothQuant too gives symmetric ranges."""
    model = make_reference("smoothquant", Options(symmetric_inputs=True, strength=0.5))
    layers = [module for module in model.modules() if isinstance(module, StaticLinear)]
    assert len(layers) == LAYERS
    assert {int(layer.input_zero_point) for layer in layers} == {128}
    assert sum(node.op_type == "QuantizeLinear" for node in typed_graph(model).graph) == LAYERS
    assert [name for name in TARGETS if name.startswith("tensorrt-")] == [
        "tensorrt-fp16",
        "tensorrt-int8",
        "tensorrt-fp8",
        "tensorrt-mixed",
    ]


@pytest.fixture
def make_reference():
    from qasr import reference
    from qasr.audio import FeatureSettings
    from qasr.exporters.data import read_audio_set
    from qasr.models import open_checkpoint
    from qasr.quantizers import CalibrationSet

    def make(method, options):
        with open_checkpoint("reference") as checkpoint:
            settings, model = FeatureSettings.from_json(checkpoint.features), checkpoint.deployable()
        clips = list(read_audio_set(reference.CALIBRATION, 4).features(settings))
        calibration = CalibrationSet("bundled", "0" * 64, 1.0, len(clips), lambda: iter(clips))
        return quantize(method, model, dataclasses.replace(options, scheme=WeightScheme()), calibration)

    return make
