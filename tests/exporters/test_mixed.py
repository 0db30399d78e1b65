"""Artifacts whose layers have formats of their own."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from qasr import load, reference
from qasr.exporters import (
    CalibrationRequest,
    ExportError,
    MixingRequest,
    QuantizationRequest,
    Request,
    RequestError,
    find,
    resolve,
)
from qasr.exporters.explain import explain
from qasr.exporters.mixed.mixture import check_size
from qasr.exporters.pipeline import export
from qasr.exporters.verification import float_execution
from qasr.quantizers import QuantizationError

LAYERS = 32


@pytest.fixture(scope="module")
def kept(exported):
    """Requests like those of ``exported``, which do not repeat its measurements."""
    artifact = exported("onnx-mixed")

    def request(target="onnx-mixed", **mixing):
        return Request(
            target=target,
            calibration=CalibrationRequest(clips=16),
            quantization=QuantizationRequest(journal=artifact.folder.parent / "kept"),
            mixing=MixingRequest(**mixing),
        )

    return request


def size(manifest):
    return sum(entry.bytes for entry in manifest.files.values())


def test_default_budget(exported):
    manifest = exported("onnx-mixed").manifest
    assert (manifest.method, manifest.options["budget"]) == ("sensitivity", {"points": 0.2})
    formats = manifest.options["formats"]
    assert len(formats) == LAYERS
    measured = manifest.options["measured"]
    assert measured["points"] + measured["standard_error"] <= 0.2
    assert manifest.options["measured"]["against"] == "labels"
    assert size(manifest) < 0.75 * size(exported("onnx-int8", "static").manifest)
    assert size(manifest) <= manifest.options["predicted"]["bytes"] < 1.05 * size(manifest)


@pytest.fixture(scope="module")
def sized(kept, tmp_path_factory):
    """The manifest of the most accurate within 2.5 MB."""
    output = tmp_path_factory.mktemp("sized") / "out"
    return export(kept(budget_bytes=2_500_000), output).manifest


def test_budget_of_size(sized):
    assert 2_400_000 < size(sized) <= 2_500_000
    assert sized.options["budget"] == {"bytes": 2_500_000}
    assert len(set(sized.options["formats"].values())) >= 3
    assert sized.fidelity.relative_error < 0.012


def test_every_layer_is_executed_as_its_format_says(sized):
    precision, counts = sized.precision, Counter(sized.options["formats"].values())
    assert precision.quantized_layers == precision.integer_kernels == LAYERS - counts["fp16"]
    assert precision.kernels["MatMulNBits"] == counts["int4"] + counts["int2"]
    assert sized.execution["floats"] == "stored in fp16, computed in fp32"
    assert precision.weight_bytes["float"] < 1000


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        (
            {"budget_bytes": 1_000_000},
            r"nothing fits into 1.00 MB: the smallest artifact of these formats has 1\.\d\d MB",
        ),
        ({"precision_map": "nowhere"}, "nowhere: no such precision map"),
    ],
)
def test_budgets_and_maps_that_cannot_be_met(kept, tmp_path, mixing, message):
    with pytest.raises(QuantizationError, match=message):
        export(kept(**mixing), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_too_little_audio_for_a_budget(kept):
    with pytest.raises(
        QuantizationError, match=r"have \d+ symbols, too few to see a loss of 0.1 points; .*\(1000 symbols\)"
    ):
        explain(kept(budget_points=0.1))


def test_points_that_nothing_meets(monkeypatch, kept):
    from qasr.quantizers.search.error_rate import ErrorRates, Measured

    monkeypatch.setattr(ErrorRates, "measure", lambda *_: Measured(0.5, 0.4, 0.1))
    with pytest.raises(QuantizationError, match=r"nothing loses at most 0.3 points: the most accurate .* loses 0.600"):
        explain(kept(budget_points=0.3))


def test_an_artifact_over_its_budget_is_an_error(exported):
    plan = resolve(Request(target="onnx-mixed", mixing=MixingRequest(budget_bytes=1_000_000)))
    with pytest.raises(ExportError, match=r"takes \d\.\d\d MB, over the budget of 1.00 MB"):
        check_size(exported("onnx-mixed"), plan)


def test_map(kept, tmp_path):
    (tmp_path / "map.yaml").write_text("layers.0.*: bf16\n'*.attention.*': int8\nlayers.*: int4\n")
    request = kept("openvino-mixed", precision_map=str(tmp_path / "map.yaml"))
    manifest = export(request, tmp_path / "out").manifest
    assert (manifest.method, manifest.precision.quantized_layers) == ("map", 24)
    assert manifest.options["formats"]["layers.0.attention.qkv"] == "bf16"
    assert manifest.options["formats"]["layers.1.attention.qkv"] == "int8"
    assert {"i4", "i8", "f16"} <= set(manifest.precision.weight_bytes)
    assert manifest.execution["floats"] == "stored in fp16, computed in bf16"
    # Each gate of the three quantized layers is split in two.
    assert manifest.precision.integer_kernels == 24 + 3
    assert manifest.fidelity.disagreement["phonemes"] < 0.005


def test_amp(exported):
    """Products of floats in bf16, as torch's profiler saw them; all others by FBGEMM."""
    manifest = exported("torch-amp-int8").manifest
    kernels = manifest.precision.kernels
    assert kernels["quantized::linear_dynamic"] == manifest.precision.integer_kernels == LAYERS
    # Scores, distances and values of four layers; projection and heads; the depthwise convolutions.
    assert kernels["aten::bmm.bfloat16"] == 12
    assert kernels["aten::addmm.bfloat16"] == 2
    assert kernels["aten::convolution.bfloat16"] == 4
    assert "aten::bmm" not in kernels
    assert manifest.execution["floats"] == "stored in fp32, computed in bf16"
    row = json.loads(reference.EVALUATION.read_text(encoding="utf-8").splitlines()[0])
    with load(exported("torch-amp-int8").folder, trust_code=True) as model:
        assert model.transcribe(reference.EVALUATION.parent / row["audio"]).text[:8] == row["phonemes"][:8]


def test_bf16_that_is_not_executed_is_an_error():
    with pytest.raises(ExportError, match="floats were to be computed in bf16, but the engine executed fp32"):
        float_execution(find("torch-amp-int8"), {"aten::bmm": 12})
    assert float_execution(find("onnx-int8"), {"MatMul": 1}) == {}
    assert float_execution(find("tensorrt-mixed"), {"product half x half": 1}) == {
        "floats": "stored in fp16, computed in fp16"
    }


@pytest.mark.parametrize(
    ("target", "name", "mixing", "message"),
    [
        ("onnx-int8", None, {"budget_points": 1.0}, "--budget-per applies only to targets called …-mixed"),
        (
            "onnx-mixed",
            None,
            {"budget_points": 1.0, "precision_map": "typical"},
            "--budget-per and --precision-map excl",
        ),
        ("onnx-mixed", None, {"budget_points": 1.0, "budget_bytes": 9}, "--budget-per and --budget-size exclude each"),
        ("onnx-mixed", "map", {}, "the method map needs --precision-map"),
        ("onnx-mixed", "sensitivity", {"precision_map": "typical"}, "the method sensitivity takes no --precision-map"),
        ("onnx-mixed", "static", {}, "the engine cannot express the layers of the method 'static'"),
    ],
)
def test_contradictions(target, name, mixing, message):
    with pytest.raises(RequestError, match=message):
        resolve(Request(target=target, method=name, mixing=MixingRequest(**mixing)))


def test_a_map_implies_its_method():
    assert resolve(Request(target="onnx-mixed")).method == "sensitivity"
    assert resolve(Request(target="onnx-mixed", mixing=MixingRequest(precision_map="typical"))).method == "map"
    assert resolve(Request(target="onnx-int8")).method == "static"
