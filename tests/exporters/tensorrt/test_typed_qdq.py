"""Typed Q/DQ graphs: their types, where nothing is rounded, and what they compute."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest
import torch
from torch import nn

from qasr import reference
from qasr.data import read_audio_set
from qasr.exporters import TARGETS, CalibrationRequest, ExportError, MixingRequest, Request
from qasr.exporters.calibration import inputs_of
from qasr.exporters.pipeline import export
from qasr.exporters.tensorrt.options import TensorRTOptions
from qasr.exporters.tensorrt.typed_qdq import TypedLinear, typed_graph
from qasr.models import open_checkpoint
from qasr.quantizers import Quantization, Ranges, SmoothQuantOptions
from qasr.quantizers.apply import quantize
from qasr.quantizers.calibration import CalibrationSet, Work
from qasr.quantizers.layers.quantized import DynamicLinear, Fp8Linear, StaticLinear
from qasr.quantizers.techniques.static import range_of

LAYERS = 32


@pytest.fixture
def graph(exported):
    """The typed ONNX model of a target."""
    return lambda target: onnx.load(exported(target).path("model.onnx"))


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
    request = Request(
        target="tensorrt-mixed",
        calibration=CalibrationRequest(clips=8),
        mixing=MixingRequest(precision_map="typical"),
        engine=TensorRTOptions(onnx_only=True),
    )
    mixed, whole = export(request, tmp_path / "out").manifest, exported("tensorrt-int8")
    assert mixed.precision.quantized_layers == LAYERS - 2 * 4
    assert mixed.fidelity.relative_error < 0.85 * whole.manifest.fidelity.relative_error
    assert mixed.precision.weight_bytes["int8"] < whole.manifest.precision.weight_bytes["int8"]


def test_fp16(exported):
    manifest = exported("tensorrt-fp16").manifest
    assert manifest.precision.quantized_layers == 0
    assert manifest.parity.relative_error < 2e-3
    assert manifest.fidelity.relative_error < 2e-3


def test_fp8_on_the_bundled_model(exported):
    manifest = exported("tensorrt-fp8").manifest
    assert manifest.precision.weight_bytes["float8e4m3fn"] > 3_300_000
    assert 1e-3 < manifest.fidelity.relative_error < 2e-2
    assert manifest.options["weights"] == "e4m3"


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

    layer = StaticLinear(nn.Linear(4, 4), range_of(Seen(), Ranges(symmetric=True)))
    assert int(layer.input_zero_point) == 128
    assert float(layer.input_scale) == pytest.approx(2.54 / 127)
    assert range_of(Seen(), Ranges()) == (-0.5, 2.54)


def test_fp8_layer_by_hand():
    linear = nn.Linear(3, 2)
    linear.weight = nn.Parameter(torch.tensor([[448.0, 1.0, -0.3], [8.96, 0.0, 0.02]]))
    linear.bias = nn.Parameter(torch.tensor([1.0, -1.0]))
    layer = Fp8Linear(linear, (-1.0, 4.48))
    assert layer.weight_scale.tolist() == pytest.approx([1.0, 0.02])
    # E4M3 has 3 bits of mantissa: next to 0.3 lie 0.28125 and 0.3125.
    assert layer.weight.float().t().tolist() == [[448.0, 1.0, -0.3125], [448.0, 0.0, 1.0]]
    assert float(layer.input_scale) == pytest.approx(0.01)
    actual = layer(torch.tensor([[4.48, 1.0, 100.0]]))
    # Inputs of 448, 96 (of 100, half way to 104: even), and 448 for all that is beyond.
    expected = torch.tensor([[448.0, 1.0, -0.3125], [8.96, 0.0, 0.02]]) @ torch.tensor([4.48, 0.96, 4.48])
    assert torch.allclose(actual[0], expected + linear.bias, rtol=1e-5)
    assert str(layer.scheme) == "e4m3 weights, static e4m3 input"
    half = Fp8Linear(linear, (-1.0, 4.48)).half()
    assert torch.equal(half.weight.float(), layer.weight.float())


@pytest.fixture
def make_reference():
    def make(method, quantization):
        with open_checkpoint("reference") as checkpoint:
            model = checkpoint.deployable()
        clips = list(inputs_of(read_audio_set(reference.CALIBRATION, 4), model.front_end))
        calibration = CalibrationSet("bundled", "0" * 64, 1.0, len(clips), lambda: iter(clips))
        quantize(method, model, quantization, Work(calibration=calibration))
        return model

    return make


def test_methods_reach_tensorrt(make_reference):
    """SmoothQuant too gives symmetric ranges."""
    quantization = Quantization(
        exclude=("projection", "heads"),
        ranges=Ranges(symmetric=True),
        smoothquant=SmoothQuantOptions(strength=0.5),
    )
    model = make_reference("smoothquant", quantization)
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
