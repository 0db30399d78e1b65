"""OpenVINO artifacts of the bundled model: what is stored, what is executed, and that the rewrites change nothing."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from qasr import reference
from qasr.artifacts import read
from qasr.exporters import CalibrationRequest, ExportError, Request, VerificationRequest, verification
from qasr.exporters.openvino import rewrites
from qasr.exporters.openvino import writer as exporter
from qasr.exporters.pipeline import export

TARGETS = ["openvino-fp16", "openvino-bf16", "openvino-int8", "openvino-int8-weights"]
LAYERS = 4 * 8
GATES = 4  # each gated linear unit is one layer and two products


@pytest.fixture(params=TARGETS)
def artifact(request, exported):
    return exported(request.param)


def test_holds_all_it_needs(artifact):
    again = read(artifact.folder)
    assert set(again.manifest.files) == {
        "openvino_model.xml",
        "openvino_model.bin",
        "config.json",
        "vocab.json",
        "tokenizer_config.json",
        "added_tokens.json",
        "preprocessor_config.json",
    }
    assert again.manifest.engine == "openvino"
    assert again.manifest.toolchain["openvino"].startswith("20")


def test_stored_types(artifact):
    precision = artifact.manifest.precision
    if precision.requested in {"fp16", "bf16"}:
        assert precision.weight_bytes["f16"] > 6_900_000
        assert precision.weight_bytes["f32"] < 100
        assert precision.quantized_layers == precision.integer_kernels == 0
    else:
        assert precision.weight_bytes["i8"] > 3_300_000
        assert precision.weight_bytes["f32"] < 600_000
        assert precision.quantized_layers == LAYERS
        assert precision.integer_kernels == LAYERS + GATES


def test_executed_precision(artifact):
    """Read back from what ran: 8-bit products in int8, compressed ones in int8-weights, bf16 elsewhere, or fp32."""
    manifest = artifact.manifest
    products = {name: count for name, count in manifest.precision.kernels.items() if name.startswith("FullyConnected")}
    by_kind = {
        kind: sum(count for name, count in products.items() if name.startswith(kind + ":"))
        for kind in ("FullyConnected", "FullyConnectedCompressed")
    }
    if manifest.target == "openvino-int8":
        assert sum(count for name, count in products.items() if name.lower().endswith("_i8")) == LAYERS + GATES
    if manifest.target == "openvino-int8-weights":
        assert by_kind["FullyConnectedCompressed"] == LAYERS + GATES
    executed = manifest.execution["precision"]
    assert executed == ("fp32" if manifest.target == "openvino-fp16" else "bf16")
    suffix = {"fp32": "_f32", "bf16": "_bf16"}[executed]
    assert all(name.endswith((suffix, "_I8")) for name in products)
    assert any(name.startswith("Subgraph:") and name.endswith(suffix) for name in manifest.precision.kernels)


def test_parity_and_fidelity(artifact):
    manifest = artifact.manifest
    allowed = {"fp16": 1e-5, "bf16": 5e-3, "int8": 2e-2, "int8-weights": 6e-3}[manifest.precision.requested]
    assert manifest.parity.relative_error < allowed
    assert manifest.fidelity.relative_error < allowed
    assert manifest.parity.argmax_agreement > 0.995
    assert manifest.fidelity.disagreement["phonemes"] < 0.02


def test_same_input_same_hashes(one_layer, tmp_path):
    calibration = CalibrationRequest(source=reference.CALIBRATION, clips=4)
    request = Request(model=str(one_layer), target="openvino-int8", calibration=calibration)
    first, second = (export(request, tmp_path / name).manifest for name in ("first", "second"))
    assert second.files == first.files


def test_relative_keys_are_gathered_by_rows(exported):
    """No GatherElements is left, and one index serves all layers."""
    operators = exported("openvino-int8").manifest.precision.operators
    assert "GatherElements" not in operators
    model = ov.Core().read_model(exported("openvino-int8").path("openvino_model.xml"))
    rows = [
        node
        for node in model.get_ops()
        if node.get_type_name() == "Gather" and node.get_attributes()["batch_dims"] == 3
    ]
    assert len(rows) == 4
    assert len({node.input_value(1).get_node().get_friendly_name() for node in rows}) == 1


def test_weights_lie_by_output(exported):
    """As the CPU plugin takes them: nothing is left to transpose at each load."""
    model = ov.Core().read_model(exported("openvino-int8").path("openvino_model.xml"))
    weights = [node for node in model.get_ops() if node.get_type_name() == "Constant" and node.data.dtype == np.int8]
    shapes = [node.data.shape for node in weights if node.data.ndim == 2]
    assert len(shapes) == LAYERS + GATES
    assert shapes.count((4 * 192, 192)) == shapes.count((192, 4 * 192)) == 8
    products = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    assert sum(node.get_attributes()["transpose_b"] for node in products) == LAYERS + GATES


def compiled(model: ov.Model) -> ov.CompiledModel:
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def test_gather_rows_is_exact():
    def model() -> ov.Model:
        scores = op.parameter([-1, 2, -1, 5], np.float32, name="scores")
        index = op.parameter([-1, -1], np.int64, name="index")
        shape = op.gather(op.shape_of(scores), op.constant(np.array([0, 1, 2])), op.constant(0))
        frames = op.gather(op.shape_of(scores), op.constant(np.array([2])), op.constant(0))
        spread = op.broadcast(index, op.concat([shape, frames], 0))
        return ov.Model([op.gather_elements(scores, spread, 3)], [scores, index], "m")

    rewritten = model()
    rewrites.gather_rows(rewritten)
    assert "GatherElements" not in {node.get_type_name() for node in rewritten.get_ops()}
    random = np.random.default_rng(0)
    scores, index = random.standard_normal((3, 2, 7, 5)).astype(np.float32), random.integers(0, 5, (7, 7))
    first, second = (compiled(each)([scores, index])[0] for each in (model(), rewritten))
    expected = np.take_along_axis(scores, np.broadcast_to(index, (3, 2, 7, 7)), 3)
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, expected)


def test_weights_by_output_is_exact():
    random = np.random.default_rng(0)
    integers, scale = random.integers(-127, 128, (6, 4)).astype(np.int8), random.random(4).astype(np.float32)

    def model() -> ov.Model:
        values = op.parameter([-1, 6], np.float32, name="values")
        restored = op.multiply(op.convert(op.constant(integers), "f32"), op.constant(scale))
        return ov.Model([op.matmul(values, restored, False, False)], [values], "m")

    rewritten = model()
    rewrites.weights_by_output(rewritten)
    stored = [node for node in rewritten.get_ops() if node.get_type_name() == "Constant" and node.data.dtype == np.int8]
    assert [node.data.shape for node in stored] == [(4, 6)]
    values = random.standard_normal((3, 6)).astype(np.float32)
    np.testing.assert_allclose(compiled(rewritten)([values])[0], values @ (integers * scale), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(compiled(model())([values])[0], values @ (integers * scale), rtol=1e-5, atol=1e-4)


def test_split_gates_is_exact():
    random = np.random.default_rng(0)
    integers, scale = random.integers(-127, 128, (8, 6)).astype(np.int8), 0.01 * random.random(8).astype(np.float32)
    bias = random.standard_normal(8).astype(np.float32)

    def model() -> ov.Model:
        values = op.parameter([-1, -1, 6], np.float32, name="values")
        weight = op.multiply(op.convert(op.constant(integers), "f32"), op.constant(scale.reshape(-1, 1)))
        total = op.add(op.matmul(values, weight, False, True), op.constant(bias))
        halves = op.split(total, op.constant(2), 2)
        return ov.Model([op.multiply(halves.output(0), op.sigmoid(halves.output(1)))], [values], "m")

    rewritten = model()
    rewrites.split_gates(rewritten)
    assert "Split" not in {node.get_type_name() for node in rewritten.get_ops()}
    values = random.standard_normal((2, 5, 6)).astype(np.float32)
    total = values @ (integers * scale[:, None]).T + bias
    expected = total[..., :4] / (1 + np.exp(-total[..., 4:]))
    np.testing.assert_allclose(compiled(model())([values])[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compiled(rewritten)([values])[0], expected, rtol=1e-4, atol=1e-5)


def test_round_before_transpose_is_exact():
    def model() -> ov.Model:
        values = op.parameter([-1, 3, -1, 4], np.float32, name="values")
        turned = op.transpose(values, op.constant(np.array([0, 2, 1, 3])))
        flat = op.reshape(turned, op.constant(np.array([0, 0, 12])), True)
        edges = [op.constant(np.float32(edge)) for edge in (-1.0, 1.55, 0.0, 255.0)]
        integers = op.convert(op.fake_quantize(flat, *edges, 256), "u8")
        restored = op.multiply(op.subtract(op.convert(integers, "f32"), op.constant(np.float32(100))), np.float32(0.01))
        return ov.Model([restored], [values], "m")

    rewritten = model()
    rewrites.round_before_transpose(rewritten)
    order = [node.get_type_name() for node in rewritten.get_ordered_ops()]
    assert order.index("FakeQuantize") < order.index("Transpose")
    values = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    # The last product rounds in its own way; the integers are the same.
    np.testing.assert_allclose(compiled(rewritten)([values])[0], compiled(model())([values])[0], atol=1e-6)


def test_int8_that_would_run_in_float_is_an_error(one_layer, tmp_path, monkeypatch):
    """Engines fold 8-bit weights back to float without a word; the export notices."""
    original = verification.run_artifact
    monkeypatch.setattr(
        verification,
        "run_artifact",
        lambda *given: (original(*given)[0], {"FullyConnected:brgemm_avx512_bf16": 37, "FullyConnected:x_I8": 1}),
    )
    with pytest.raises(ExportError, match="openvino-int8: the engine executed 1 kernels with integer weights for 8"):
        export(
            Request(
                model=str(one_layer),
                target="openvino-int8",
                calibration=CalibrationRequest(source=reference.CALIBRATION, clips=4),
                verification=VerificationRequest(clips=2),
            ),
            tmp_path / "out",
        )
    assert list(tmp_path.iterdir()) == []


def test_kernel_names():
    assert exporter.integer_kernels({"FullyConnected:brgemm_avx512_I8": 3, "FullyConnected:gemm_acl_i8": 2}) == 5
    assert exporter.integer_kernels({"FullyConnectedCompressed:brgemm_avx512_bf16": 4}) == 4
    assert exporter.integer_kernels({"FullyConnected:brgemm_avx512_bf16": 3, "Reorder:jit_uni_i8": 2}) == 0
