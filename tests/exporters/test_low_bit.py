"""Artifacts of 4 and 2 bits: what is stored, what is executed, and what they lose."""

from __future__ import annotations

import json

import numpy as np
import openvino as ov
import pytest

from qasr import load, reference
from qasr.exporters import CalibrationRequest, QuantizationRequest, Request, RequestError, verification
from qasr.exporters.openvino import rewrites
from qasr.exporters.pipeline import export
from qasr.quantizers import QuantizationError

TARGETS = ["onnx-int4", "onnx-int2", "openvino-int4", "openvino-int2", "openvino-w4a8"]
LAYERS = 32
GATES = 4
WEIGHTS = 3_391_488
"""In the quantized layers of the bundled model."""


@pytest.fixture(params=TARGETS)
def artifact(request, exported):
    return exported(request.param)


def test_stored_bits(artifact):
    stored, target = artifact.manifest.precision.weight_bytes, artifact.manifest.target
    bits = 2 if target.endswith("int2") else 4
    kind = {"onnx-int4": "uint8", "onnx-int2": "uint8", "openvino-w4a8": "i4"}.get(target, f"u{bits}")
    zero_points = 0 if target == "openvino-w4a8" else WEIGHTS // 64 * bits // 8
    assert stored[kind] == pytest.approx(WEIGHTS * bits / 8 + zero_points, rel=0.01)
    size = sum(entry.bytes for entry in artifact.manifest.files.values())
    assert size < {2: 2.1e6, 4: 3.0e6}[bits]


def test_executed_kernels(artifact):
    precision = artifact.manifest.precision
    assert precision.quantized_layers == LAYERS
    kernels = precision.kernels
    if artifact.manifest.engine == "onnx":
        assert kernels["MatMulNBits"] == precision.integer_kernels == LAYERS
    elif artifact.manifest.target == "openvino-w4a8":
        products = {name.lower(): count for name, count in kernels.items() if name.startswith("FullyConnected")}
        assert sum(count for name, count in products.items() if name.endswith("_i8")) == LAYERS + GATES
        assert precision.integer_kernels == LAYERS + GATES
    else:
        compressed = sum(n for name, n in kernels.items() if name.startswith("FullyConnectedCompressed:"))
        assert compressed == precision.integer_kernels == LAYERS


def test_parity_and_fidelity(artifact):
    manifest = artifact.manifest
    assert manifest.method == "gptq"
    assert manifest.parity.relative_error < 1.2e-2
    bits = 2 if manifest.target.endswith("int2") else 4
    assert manifest.fidelity.relative_error < {2: 0.11, 4: 0.025}[bits]
    assert manifest.fidelity.disagreement["phonemes"] < {2: 0.02, 4: 0.005}[bits]


def test_inputs_are_rounded_as_the_manifest_says(artifact):
    expected = {"onnx-int4", "onnx-int2", "openvino-int4"}
    assert (artifact.manifest.execution.get("input_group_size") == "64") == (artifact.manifest.target in expected)


def test_weight_only_parity_is_tight(exported):
    """Nothing is rounded at run time, so nothing can tip: only bf16 stands between the artifact and its model."""
    assert exported("openvino-int2").manifest.parity.tolerance < 1e-2


def test_transcribes(artifact):
    row = json.loads(reference.EVALUATION.read_text(encoding="utf-8").splitlines()[0])
    with load(artifact.folder) as model:
        result = model.transcribe(reference.EVALUATION.parent / row["audio"])
    assert len(result.levels) == 11
    assert result.text[:8] == row["phonemes"][:8]


def test_same_input_same_hashes(one_layer, tmp_path):
    calibration = CalibrationRequest(source=reference.CALIBRATION, clips=8)
    request = Request(model=str(one_layer), target="openvino-int4", calibration=calibration)
    first, second = (export(request, tmp_path / name).manifest for name in ("first", "second"))
    assert second.method == "gptq"
    assert second.files == first.files


def test_gptq_loses_half_of_what_rounding_loses(exported):
    errors = [exported("onnx-int2", method).manifest.fidelity.relative_error for method in ("gptq", "rtn")]
    assert errors[0] < 0.6 * errors[1]


def test_float_zero_points(exported):
    """ONNX Runtime multiplies them in float, so nothing is rounded at run time; scales lie in the file as float16."""
    manifest = exported("onnx-int2", "hqq").manifest
    assert manifest.precision.kernels["MatMulNBits"] == manifest.precision.integer_kernels == LAYERS
    assert manifest.parity.relative_error < 1e-5
    assert "input_group_size" not in manifest.execution
    assert manifest.options["zero_points"] == "float16"
    assert manifest.precision.weight_bytes["float16"] == 2 * 2 * WEIGHTS // 64
    assert manifest.fidelity.relative_error < 0.9 * exported("onnx-int2", "rtn").manifest.fidelity.relative_error


def test_scales_are_stored_as_float16(exported):
    assert exported("onnx-int4").manifest.precision.weight_bytes["float16"] == 2 * WEIGHTS // 64


def test_budget_and_groups_are_recorded(one_layer, tmp_path):
    quantization = QuantizationRequest(bits_budget=2.5, group_size=32, symmetric=True)
    calibration = CalibrationRequest(source=reference.CALIBRATION, clips=8)
    request = Request(
        model=str(one_layer), target="onnx-int2", method="mse", quantization=quantization, calibration=calibration
    )
    manifest = export(request, tmp_path / "out").manifest
    assert sorted(set(manifest.options["bits"].values())) == [2, 4]
    assert manifest.options["weights"] == "int2 in groups of 32"
    assert manifest.execution["input_group_size"] == "32"
    assert manifest.precision.quantized_layers == LAYERS // 4


def test_groups_that_do_not_divide_leave_nothing(tmp_path, monkeypatch):
    """And cost nothing: the model is not even run."""
    monkeypatch.setattr(verification, "run_torch", lambda *_: pytest.fail("the model was run"))
    with pytest.raises(QuantizationError, match="groups of 128 do not divide"):
        export(Request(target="onnx-int4", quantization=QuantizationRequest(group_size=128)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["hf-gptq", "hf-awq", "openvino-w4a8"])
def test_zero_points_that_cannot_be_held(tmp_path, target):
    with pytest.raises(
        RequestError,
        match=rf"{target} cannot hold zero points; leave --asymmetric out, or use onnx-int4 or openvino-int4",
    ):
        export(Request(target=target, quantization=QuantizationRequest(symmetric=False)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_four_bit_weights_are_exact():
    from openvino import opset13 as op

    random = np.random.default_rng(0)
    codes, multiples = random.integers(-8, 8, (6, 4, 16)), random.integers(1, 16, (6, 4, 1))
    codes[0, 0], codes[1, 1, :] = 0, 4  # no divisor, and one that is not the multiple
    integers = (codes * multiples).reshape(6, 64).astype(np.int8)
    scale, rows = random.random(6).astype(np.float32), random.standard_normal((3, 64)).astype(np.float32)

    def model() -> ov.Model:
        values = op.parameter([-1, 64], np.float32, name="values")
        stored = op.convert(op.constant(integers), "f32")
        weight = op.multiply(stored, op.constant(scale.reshape(-1, 1).copy()))
        return ov.Model([op.matmul(values, weight, False, True)], [values], "m")

    rewritten = model()
    rewrites.four_bit_weights(rewritten, 16)
    assert ov.Type.i4 in {node.get_element_type() for node in rewritten.get_ops()}
    expected = rows @ (integers * scale[:, None]).T
    settings = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    for each in (model(), rewritten):
        actual = ov.Core().compile_model(each, "CPU", settings)([rows])[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_eight_bit_weights_are_not_made_four():
    from openvino import opset13 as op

    integers = np.array([[1, 100, 3, 7]], np.int8)
    values = op.parameter([-1, 4], np.float32, name="values")
    weight = op.multiply(op.convert(op.constant(integers), "f32"), op.constant(np.ones((1, 1), np.float32)))
    model = ov.Model([op.matmul(values, weight, False, True)], [values], "m")
    with pytest.raises(ValueError, match="not 4-bit integers"):
        rewrites.four_bit_weights(model, 4)
