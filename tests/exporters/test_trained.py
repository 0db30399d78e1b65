"""Trained checkpoints: their scales reach artifacts bit for bit, and engines that cannot take them say so by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from qasr import load, reference
from qasr.exporters import ExportError, QuantizationRequest, Request, RequestError, VerificationRequest, find
from qasr.exporters.explain import explain
from qasr.exporters.pipeline import export
from qasr.exporters.tensorrt.options import TensorRTOptions
from qasr.quantizers.layers import stored
from qasr.training import TrainingOptions
from qasr.training.run import train

QUICK = TrainingOptions(epochs=1, batch_seconds=20.0, held_out=0.2, evaluations=1, learning_rate=1e-4)
KINDS = {
    "int8": QUICK,
    "int8-partial": replace(QUICK, partial=True, asymmetric_inputs=True),
    "qnnpack": replace(QUICK, partial=True, round_outputs=True),
    "int4": replace(QUICK, scheme="int4", start="mse"),
    "int4-symmetric": replace(QUICK, scheme="int4", partial=True, symmetric=True, start="mse"),
}
CLIP = reference.EVALUATION.parent / "000-m3.flac"


def request(checkpoint: Path, target: str, **more) -> Request:
    """Verified on two clips; of engines that are compiled, the graph alone."""
    engine = TensorRTOptions(onnx_only=True) if find(target).engine == "tensorrt" else None
    return Request(
        model=str(checkpoint), target=target, verification=VerificationRequest(clips=2), engine=engine, **more
    )


class Silent:
    def track(self, items, description, total):
        return items

    def started(self, steps, done): ...

    def stepped(self, loss): ...

    def evaluated(self, evaluation, *, what): ...


@pytest.fixture(scope="session")
def tuned(tmp_path_factory, write_clips, one_layer):
    """Checkpoints of one encoder layer trained on a few clips, each once in a session."""
    folder = tmp_path_factory.mktemp("tuned")
    data = write_clips(folder, count=8)

    def get(kind: str) -> Path:
        if not (folder / kind).exists():
            train(str(one_layer), data, folder / kind, KINDS[kind], Silent())
        return folder / kind

    return get


def layers_of(checkpoint: Path) -> dict[str, stored.Layer]:
    return dict(stored.load(checkpoint / "quantization.safetensors").layers)


def test_scales_in_onnx(tuned, tmp_path):
    artifact = export(request(tuned("int8"), "onnx-int8"), tmp_path / "out")
    manifest = artifact.manifest
    assert (manifest.method, manifest.calibration) == ("qat", None)
    assert manifest.precision.quantized_layers == manifest.precision.integer_kernels == 10
    assert manifest.options["exclude"] == []
    assert manifest.source.trained_from is not None
    graph = onnx.load(artifact.folder / "model.onnx").graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    actual = [constants[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear"]
    expected = [layer.input_scale.numpy() for layer in layers_of(tuned("int8")).values()]
    assert sorted(float(scale) for scale in actual) == sorted(float(scale) for scale in expected)
    weights = {
        constants[node.input[0]].tobytes(): constants[node.input[1]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    for layer in layers_of(tuned("int8")).values():
        assert np.array_equal(weights[layer.weight.numpy().tobytes()], layer.weight_scale.numpy())
    with load(artifact.folder) as model:
        assert len(model.transcribe(CLIP).text) > 20


def test_scales_in_torchscript(tuned, tmp_path):
    artifact = export(request(tuned("int8-partial"), "torchscript-fbgemm"), tmp_path / "out")
    assert artifact.manifest.method == "qat-partial"
    assert artifact.manifest.precision.integer_kernels == 6
    assert "layers.0.convolution.pointwise1" in artifact.manifest.options["exclude"]
    torch.backends.quantized.engine = "fbgemm"
    module = torch.jit.load(artifact.folder / "model.pt")
    modules = dict(module.named_modules())
    for name, layer in layers_of(tuned("int8-partial")).items():
        weight, bias = torch.ops.quantized.linear_unpack(modules[name].packed)
        assert torch.equal(weight.q_per_channel_scales().float(), layer.weight_scale)
        assert torch.equal(weight.int_repr(), layer.weight.t())
        assert torch.equal(bias, layer.bias)
        scales = {float(one) for one in _numbers(modules[name])}
        assert float(layer.input_scale) in scales


def _numbers(module):
    """Constants and attributes of a traced layer."""
    for node in module.graph.nodes():
        if node.kind() == "prim::Constant" and node.outputsSize() == 1:
            value = node.output().toIValue()
            if isinstance(value, float):
                yield value
            elif isinstance(value, torch.Tensor) and value.numel() == 1:
                yield value.item()
    for _, value in (*module.named_buffers(), *module.named_parameters()):
        if value.numel() == 1:
            yield value.item()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("int8", "openvino-int8"),
        ("int8", "tensorrt-int8"),
        ("qnnpack", "torchscript-qnnpack"),
        ("int4", "onnx-int4"),
        ("int4", "openvino-int4"),
        ("int4-symmetric", "hf-gptq"),
    ],
)
def test_reaches_every_engine(tuned, tmp_path, kind, target):
    artifact = export(request(tuned(kind), target), tmp_path / "out")
    layers = layers_of(tuned(kind))
    manifest = artifact.manifest
    # A transformers checkpoint has q, k and v apart.
    expected = len(layers) if target != "hf-gptq" else len(layers) + 2
    assert manifest.precision.quantized_layers == expected
    assert manifest.parity.relative_error <= manifest.parity.tolerance
    assert manifest.fidelity.disagreement["phonemes"] < 0.1
    with load(artifact.folder, trust_code=True) as model:
        assert len(model.transcribe(CLIP).text) > 20


def test_float_targets_take_the_rounded_weights(tuned, tmp_path):
    artifact = export(request(tuned("int4"), "onnx-fp32"), tmp_path / "out")
    assert artifact.manifest.method is None
    assert artifact.manifest.precision.quantized_layers == 0


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("int4", "onnx-int8", r"heads|has uint4 in groups of 64 weights; export to a target of 4 bits, as onnx-int4"),
        (
            "int8",
            "onnx-int4",
            "static uint8 input; export to a target of int8 that takes the method static",
        ),
        ("int8-partial", "tensorrt-int8", r"has an input range with zero point \d+; train without --asymmetric-inputs"),
        ("int8", "torchscript-qnnpack", "its kernels round outputs too: train with --round-outputs"),
        ("qnnpack", "onnx-int8", "static uint8 output; train without --round-outputs"),
        (
            "int4",
            "hf-gptq",
            r"train with --exclude '\*.pointwise1'|zero points; train with --symmetric",
        ),
        ("int8", "tensorrt-mixed", "export to a target of int8 that takes the method static"),
        ("int8", "hf-bnb-int8", "export to a target of int8 that takes the method static, as onnx-int8"),
        ("int4", "openvino-w4a8", "export to a target of 4 bits, as onnx-int4"),
    ],
)
def test_says_what_an_engine_cannot_express(tuned, tmp_path, kind, target, message):
    with pytest.raises(ExportError, match=rf"^{target} cannot express how {kind} was trained: .*({message})"):
        export(request(tuned(kind), target), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_refuses_techniques_and_reports(tuned, tmp_path):
    message = "int8: was trained while quantized, and is exported unchanged; leave --method out"
    with pytest.raises(RequestError, match=message):
        export(request(tuned("int8"), "onnx-int8", method="dynamic"), tmp_path / "out")
    for target in ("onnx-int8", "onnx-mixed"):
        with pytest.raises(ExportError, match="no float model to compare its layers with"):
            explain(request(tuned("int8"), target))


@pytest.mark.parametrize(
    ("kind", "target", "quantization", "option"),
    [
        ("int4-symmetric", "hf-gptq", {"exclude": ("*.attention.*",)}, "--exclude"),
        ("int4-symmetric", "hf-gptq", {"group_size": 64}, "--group-size"),
        ("int4", "onnx-int4", {"symmetric": True}, "--symmetric"),
        ("int4-symmetric", "hf-gptq", {"damping": 0.1}, "--damping"),
        ("int4-symmetric", "hf-gptq", {"activation_order": False}, "--no-activation-order"),
        ("int8", "onnx-int8", {"observer": "mse"}, "--observer"),
        ("int8", "onnx-int8", {"observer": "percentile", "percentile": 99.0}, "--observer, --percentile"),
    ],
)
def test_refuses_options_that_the_training_has_decided(tuned, tmp_path, kind, target, quantization, option):
    message = f"^{kind}: was trained while quantized, and is exported unchanged; leave {option} out$"
    with pytest.raises(RequestError, match=message):
        export(request(tuned(kind), target, quantization=QuantizationRequest(**quantization)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
