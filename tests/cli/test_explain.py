"""``qexport --explain`` and what else concerns techniques on the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from qasr import reference
from qasr.artifacts import read
from qasr.exporters import CalibrationRequest, Request, RequestError, resolve
from qasr.exporters.explain import explain


def qexport(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from qasr.cli.qexport import run; run()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def rows(text: str) -> dict[str, list[str]]:
    """Layer to the cells behind it."""
    actual = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in actual if cells[0].startswith(("layers.", "all together"))}


def test_explains_without_exporting(tmp_path):
    done = qexport("--to", "onnx-int8", "--method", "dynamic", "--explain", cwd=tmp_path)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
    table = rows(done.stdout)
    assert len(table) == 32 + 1
    assert list(table)[-1] == "all together"
    assert table["layers.0.attention.qkv"][0] == "int8 weights, dynamic uint8 input"
    errors = [float(cells[1]) for name, cells in table.items() if name != "all together"]
    assert errors == sorted(errors, reverse=True)
    shares = [float(cells[3].rstrip("%")) for name, cells in table.items() if name != "all together"]
    assert sum(shares) == pytest.approx(100, abs=1.5)
    assert errors[0] < float(table["all together"][1]) < 0.02
    assert "dynamic on 4 clips of manifest.jsonl" in done.stdout


@pytest.mark.parametrize(
    ("target", "method", "scheme", "strengths"),
    [
        ("onnx-int8", "static", "int8 weights, static uint8 input", 0),
        ("onnx-int8", "smoothquant", "int8 weights, static uint8 input", 12),
        ("openvino-int8-weights", "rtn", "int8 weights, float input", 0),
    ],
)
def test_every_kind_of_technique(target, method, scheme, strengths):
    plan = resolve(Request(target=target, method=method))
    few = CalibrationRequest(clips=8) if plan.needs_calibration else CalibrationRequest()
    actual = explain(Request(target=target, method=method, calibration=few))
    assert (actual.method, actual.clips) == (method, 4)
    assert {layer.scheme for layer in actual.report.layers} == {scheme}
    assert len(actual.report.layers) == 32
    assert 1e-4 < actual.report.together.error < 0.02
    assert strengths <= len(actual.strengths) <= (16 if strengths else 0)


def test_targets_that_quantize_nothing():
    with pytest.raises(RequestError, match="onnx-fp32 quantizes nothing, so there is nothing to explain"):
        explain(Request(target="onnx-fp32"))


def test_explains_and_exports_with_warnings(tmp_path):
    """A bad calibration set is warned of once, and used."""
    shutil.copy(reference.EVALUATION.parent / "000-m3.flac", tmp_path / "a.flac")
    (tmp_path / "few.jsonl").write_text("".join(json.dumps({"audio": "a.flac"}) + "\n" for _ in range(3)))
    options = ("--method", "smoothquant", "--observer", "mse", "--strength", "0.7", "--calibration", "few.jsonl")
    done = qexport("--to", "onnx-int8", *options, "--explain", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert warnings[0].startswith("warning: calibration on few.jsonl: 3 clips (")
    assert "all 3 clips last" in warnings[1]
    assert "warning" not in done.stdout
    table = rows(done.stdout)
    manifest = read(tmp_path / "out").manifest
    strengths = manifest.options["strengths"]
    assert (manifest.method, manifest.calibration.observer, set(strengths.values())) == ("smoothquant", "mse", {0.7})
    assert manifest.calibration.utterances == 3
    assert {name for name, cells in table.items() if cells[1] == "0.7"} == set(strengths)
    assert len(strengths) == 16
    assert manifest.precision.integer_kernels == manifest.precision.quantized_layers == 32
    assert manifest.fidelity.relative_error < 0.03


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--to", "onnx-fp32", "--explain"), "onnx-fp32 quantizes nothing, so there is nothing to explain"),
        (("--to", "onnx-int8", "--strength", "0.5", "-o", "out"), "--strength applies only to --method smoothquant"),
        (("--to", "onnx-int8", "--method", "smoothquant", "--strength", "2", "-o", "out"), "2.0 is not in the range"),
        (("--to", "onnx-int8"), "say where to write it: -o DIR"),
    ],
)
def test_usage_errors(tmp_path, arguments, hint):
    done = qexport(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert hint in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_choices_of_observers_are_the_techniques_own():
    """The list stands in the command too, so that help does not wait for torch."""
    from qasr.cli.qexport import command
    from qasr.quantizers import OBSERVERS

    (option,) = (parameter for parameter in command.params if parameter.name == "observer")
    assert tuple(option.type.choices) == OBSERVERS
