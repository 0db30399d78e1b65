"""Artifacts of the bundled model: what they hold, that they compute what torch does, that failure leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from qasr import reference
from qasr.artifacts import ArtifactExistsError, read
from qasr.data import DataError
from qasr.exporters import (
    CalibrationRequest,
    ExportError,
    ParityError,
    QuantizationRequest,
    Request,
    VerificationRequest,
    verification,
)
from qasr.exporters import pipeline as pipeline_module
from qasr.exporters.pipeline import export

ROWS = [
    ("onnx-fp32", None),
    ("onnx-fp16", None),
    ("onnx-int8", "dynamic"),
    ("onnx-int8", "static"),
]
FEW = CalibrationRequest(clips=4)
QUICK = VerificationRequest(clips=2)


@pytest.fixture(params=ROWS, ids=[f"{target} {method or ''}".strip() for target, method in ROWS])
def artifact(request, exported):
    return exported(*request.param)


def test_artifact_holds_all_it_needs(artifact):
    names = set(artifact.manifest.files)
    tokenizer = {"vocab.json", "tokenizer_config.json", "added_tokens.json"}
    assert names == {"model.onnx", "config.json", "preprocessor_config.json", *tokenizer}
    again = read(artifact.folder)
    assert again.manifest == artifact.manifest
    assert again.manifest.source.name == "reference"
    assert again.manifest.frame_rate_hz == 50.0
    assert next(iter(again.manifest.levels)) == "phonemes"
    assert {"torch", "transformers", "onnx", "onnxruntime"} <= set(again.manifest.toolchain)


def test_parity_and_fidelity_are_recorded(artifact):
    """Float rows match torch to rounding; INT8 rows differ by single rounding steps, a third of their own error."""
    parity, fidelity = artifact.manifest.parity, artifact.manifest.fidelity
    allowed = {"fp32": 1e-5, "fp16": 2e-3, "int8": 2e-2}[artifact.manifest.precision.requested]
    assert parity.relative_error < allowed
    assert parity.argmax_agreement > 0.995
    assert parity.clips == 8
    assert set(fidelity.disagreement) == set(artifact.manifest.levels)
    assert fidelity.disagreement["phonemes"] < 0.02
    assert fidelity.argmax_agreement > 0.99
    quantized = artifact.manifest.precision.requested == "int8"
    assert (fidelity.relative_error > 1e-3) is quantized


def test_precision_achieved(artifact):
    """Counts read back: every quantized layer runs as one integer kernel, weights take the bytes of their type."""
    precision, method = artifact.manifest.precision, artifact.manifest.method
    layers = 4 * 8
    if method == "static":
        assert precision.kernels["MatMulIntegerToFloat"] == layers
        assert precision.operators["QuantizeLinear"] == layers
        assert "DynamicQuantizeMatMul" not in precision.kernels
    if method == "dynamic":
        assert precision.kernels["DynamicQuantizeMatMul"] == layers
        assert precision.operators["DynamicQuantizeLinear"] == layers
    if method is not None:
        assert precision.weight_bytes["int8"] > 3_300_000
        assert precision.weight_bytes["float"] < 600_000
    if precision.requested == "fp16":
        assert precision.weight_bytes["float16"] > 6_900_000
        assert precision.weight_bytes.get("float", 0) < 100
    # Attention, layer norms, softmax and the depthwise convolution stay float.
    assert precision.operators["LayerNormalization"] == 1 + 4 * 6
    assert precision.operators["Softmax"] == precision.operators["Conv"] == 4
    assert "ConvInteger" not in precision.operators
    assert "QLinearConv" not in precision.kernels


def test_graph_is_dynamic_and_anonymous(artifact):
    model = onnx.load(artifact.path("model.onnx"))
    onnx.checker.check_model(model)
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes["features"] == ["batch", "frames", 160]
    assert shapes["lengths"] == ["batch"]
    assert shapes["phonemes"] == ["batch", "frames", 43]
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    # No path of the machine that exported it.
    assert str(Path(__file__).parents[2]).encode() not in artifact.path("model.onnx").read_bytes()
    # The relative-key index is computed once, not in every layer.
    assert Counter(node.op_type for node in model.graph.node)["Clip"] == 1


def test_same_input_same_hashes(one_layer, tmp_path):
    calibration = CalibrationRequest(source=reference.CALIBRATION, clips=16)
    request = Request(model=str(one_layer), target="onnx-int8", calibration=calibration, verification=QUICK)
    first, second = (export(request, tmp_path / name) for name in ("first", "second"))
    assert second.manifest.files == first.manifest.files
    assert second.manifest.calibration == first.manifest.calibration


def test_calibration_is_recorded_and_matters(exported, tmp_path):
    percentile = QuantizationRequest(observer="percentile", percentile=99.9)
    request = Request(target="onnx-int8", quantization=percentile, calibration=FEW, verification=QUICK)
    other = export(request, tmp_path / "other")
    record = other.manifest.calibration
    assert (record.name, record.utterances, record.observer) == ("manifest.jsonl", 4, "percentile 99.9")
    assert exported("onnx-int8", "static").manifest.calibration.utterances == 64
    assert other.manifest.files["model.onnx"] != exported("onnx-int8", "static").manifest.files["model.onnx"]


def test_own_calibration_folder(one_layer, tmp_path):
    calibration = CalibrationRequest(source=reference.EVALUATION.parent, clips=4)
    request = Request(model=str(one_layer), target="onnx-int8", calibration=calibration, verification=QUICK)
    artifact = export(request, tmp_path / "own")
    assert artifact.manifest.calibration.name == "evaluation"


def test_static_of_somebodys_checkpoint_needs_their_audio(tmp_path):
    import shutil

    shutil.copytree(reference.CHECKPOINT, tmp_path / "mine")
    with pytest.raises(DataError, match=r"mine: static quantization needs audio like that .*add --calibration"):
        export(Request(model=str(tmp_path / "mine"), target="onnx-int8"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_a_budget_of_bits_needs_audio_of_somebodys_checkpoint(one_layer, tmp_path):
    """The method alone would not: the advice is to leave out what needs it."""
    request = Request(
        model=str(one_layer), target="onnx-int2", method="mse", quantization=QuantizationRequest(bits_budget=2.5)
    )
    with pytest.raises(
        DataError, match=r"mse quantization needs audio .*folder of audio\), or leave --bits-budget out$"
    ):
        export(request, tmp_path / "out")


def test_existing_output_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    monkeypatch.setattr(pipeline_module, "open_checkpoint", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(ArtifactExistsError):
        export(Request(target="onnx-fp32"), tmp_path / "out", force=True)


def test_parity_failure_is_an_error_and_leaves_nothing(one_layer, tmp_path, monkeypatch):
    original = verification.run_artifact

    def disturbed(*arguments):
        logits, kernels = original(*arguments)
        logits[0]["phonemes"][3] += 10.0
        return logits, kernels

    monkeypatch.setattr(verification, "run_artifact", disturbed)
    with pytest.raises(
        ParityError, match=r"differs from its torch model: relative error .* over 2 clips, allowed 0.0001"
    ):
        export(Request(model=str(one_layer), target="onnx-fp32", verification=QUICK), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_logits_that_are_no_numbers(one_layer, tmp_path, monkeypatch):
    original = verification.run_artifact

    def broken(*arguments):
        logits, kernels = original(*arguments)
        logits[1]["ghonna"][0, 0] = np.nan
        return logits, kernels

    monkeypatch.setattr(verification, "run_artifact", broken)
    with pytest.raises(ParityError, match="logits are not finite; the model's activations overflow this precision"):
        export(Request(model=str(one_layer), target="onnx-fp32", verification=QUICK), tmp_path / "out")


def test_int8_that_computes_in_float_is_an_error(one_layer, tmp_path, monkeypatch):
    original = verification.run_artifact
    monkeypatch.setattr(verification, "run_artifact", lambda *arguments: (original(*arguments)[0], {"MatMul": 46}))
    with pytest.raises(
        ExportError,
        match=r"engine executed 0 kernels with integer weights for 8 quantized layers .MatMul.; the",
    ):
        export(
            Request(model=str(one_layer), target="onnx-int8", method="dynamic", verification=QUICK), tmp_path / "out"
        )
    assert list(tmp_path.iterdir()) == []


def test_artifact_that_does_not_load(one_layer, tmp_path, monkeypatch):
    from qasr.exporters.onnx import writer as exporter

    original = exporter.ir.save

    def truncated(model, path, **options):
        original(model, path, **options)
        path.write_bytes(path.read_bytes()[:1000])

    monkeypatch.setattr(exporter.ir, "save", truncated)
    with pytest.raises(
        ExportError, match=r"could not be loaded and run in a fresh process .*ONNX Runtime cannot load it"
    ):
        export(Request(model=str(one_layer), target="onnx-fp32", verification=QUICK), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
def test_interrupted_export_leaves_nothing(tmp_path, signal_number):
    command = [sys.executable, "-c", "from qasr.cli.qexport import run; run()"]
    child = subprocess.Popen(
        [*command, "--to", "onnx-int8", "-o", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so do all children, unless told otherwise.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("Running the fp32"):
            break
    assert len(list(tmp_path.glob(".out.partial-*"))) == 1
    time.sleep(0.3)
    child.send_signal(signal_number)
    rest = child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == (130 if signal_number == signal.SIGINT else 143)
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


def test_external_data_above_the_limit(one_layer, tmp_path, monkeypatch):
    """What a model over 1 GiB does, on the small one: the weights move to model.onnx_data, and all works as before."""
    from qasr.exporters.onnx import writer as exporter

    monkeypatch.setattr(exporter, "_EXTERNAL_ABOVE_BYTES", 1 << 20)
    artifact = export(Request(model=str(one_layer), target="onnx-fp32", verification=QUICK), tmp_path / "out")
    assert artifact.manifest.files["model.onnx_data"].bytes > 3_000_000
    assert artifact.manifest.files["model.onnx"].bytes < 1_000_000
    assert artifact.manifest.parity.relative_error < 1e-5


def test_manifest_is_plain_json(artifact):
    content = json.loads(artifact.folder.joinpath("manifest.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 3
    assert content["levels"]["phonemes"]["tokens"][0] == "[PAD]"


def test_relative_key_index_is_spread_once_as_int32(artifact):
    """At 30 s of audio the index over batch and heads takes 144 MB so, not 288."""
    graph = onnx.load(artifact.path("model.onnx")).graph
    spread = {node.input[1] for node in graph.node if node.op_type == "GatherElements"}
    assert len(spread) == 1
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    assert kinds[spread.pop()] == onnx.TensorProto.INT32


def test_nothing_that_mobile_builds_lack(artifact):
    """Builds of ONNX Runtime for ARM phones have no ConvInteger, and not every contrib operator."""
    model = onnx.load(artifact.path("model.onnx"))
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
    assert not {"ConvInteger", "QLinearConv", "Loop", "Scan", "If"} & set(artifact.manifest.precision.operators)
    assert set(artifact.manifest.precision.operators) == {node.op_type for node in model.graph.node}
