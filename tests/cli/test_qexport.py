"""``qexport`` as people type it: results, hints, exit codes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from qasr import reference
from qasr.artifacts import read
from qasr.exporters import TARGETS

from .in_process import run


def fresh(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which also shows what native code writes."""
    command = [sys.executable, "-c", "from qasr.cli.qexport import run; run()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_help_has_examples_and_exit_codes():
    done = fresh("--help")
    assert done.returncode == 0
    for part in ("qexport --list", "qexport obadx/muaalem-model-v3_0 --to onnx-int8 --calibration", "Exit codes"):
        assert part in done.stdout


def test_list_shows_every_target():
    done = run("qexport", "--list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for name, target in TARGETS.items():
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert " yes " in line
        for method in target.methods:
            assert method in line
    assert "static (default)" in done.stdout


def test_reference_is_the_default_model(tmp_path):
    done = fresh("--to", "onnx-int8", "--method", "dynamic", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, "")
    assert "against its torch model: relative error" in done.stderr
    manifest = read(tmp_path / "out").manifest
    assert (manifest.source.name, manifest.method, manifest.target) == ("reference", "dynamic", "onnx-int8")
    refused = run("qexport", "reference", "--to", "onnx-fp32", "-o", tmp_path / "out")
    assert refused.returncode == 1
    assert "exists already; add --force to replace it" in refused.stderr
    assert read(tmp_path / "out").manifest == manifest


def test_quiet(one_layer, tmp_path):
    done = fresh(one_layer, "-q", "--to", "onnx-fp32", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--to", "onnx-int9", "-o", "out"), "no target 'onnx-int9'; did you mean onnx-int8"),
        (("--to", "onnx-int8", "--method", "magic", "-o", "out"), "has no method 'magic'; it has static, dynamic"),
        (("-o", "out"), "say what to make: --to TARGET"),
        (("--to", "onnx-int8"), "say where to write it: -o DIR"),
        (("--to", "onnx-int8", "-o", "out", "--observer", "magic"), "'magic' is not one of 'minmax', 'percentile'"),
        (("--to", "onnx-int8", "-o", "out", "--percentile", "3"), "3.0 is not in the range"),
        (("--wrong",), "No such option"),
        (
            ("--to", "onnx-int8", "-o", "out", "--group-size", "32"),
            "--group-size applies only to targets of 4 and 2 bits, other than quanto's",
        ),
        (
            ("--to", "onnx-int4", "-o", "out", "--bits-budget", "2.5"),
            "--bits-budget applies only to targets of 2 bits",
        ),
        (
            ("--to", "hf-quanto-int2", "-o", "out", "--bits-budget", "2.5"),
            "--bits-budget applies only to targets of 2 bits",
        ),
        (
            ("--to", "onnx-int8", "-o", "out", "--asymmetric"),
            "--asymmetric applies only to targets of 4 and 2 bits",
        ),
        (
            ("--to", "hf-gptq", "-o", "out", "--symmetric"),
            "--symmetric applies only to targets of 4 and 2 bits that",
        ),
        (
            ("--to", "onnx-int4", "--method", "rtn", "-o", "out", "--damping", "0.1"),
            "--damping applies only to --method gptq and targets called …-mixed",
        ),
        (
            ("--to", "onnx-int4", "--method", "awq", "-o", "out", "--journal", "j"),
            "--journal applies only to --method gptq",
        ),
        (("--to", "onnx-int4", "-o", "out", "--group-size", "48"), "'48' is not one of '16', '32', '64', '128', '256'"),
        (
            ("--to", "onnx-fp32", "--exclude", "nosuchlayer", "-o", "out"),
            "--exclude applies only to targets that quantize",
        ),
        (("--to", "onnx-fp32", "--observer", "mse", "-o", "out"), "--observer applies only to methods that fix ranges"),
        (
            ("--to", "onnx-int8", "--percentile", "77", "-o", "out"),
            "--percentile applies only to --observer percentile",
        ),
        (
            ("--to", "onnx-int8", "--method", "dynamic", "--calibration", "ok.jsonl", "-o", "out"),
            "--calibration applies only to methods that use calibration audio",
        ),
        (
            ("--to", "onnx-int8", "--max-batch", "4", "-o", "out"),
            "--max-batch applies only to targets called tensorrt-…",
        ),
        (("--to", "onnx-fp32", "--revision", "main", "-o", "out"), "--revision applies only to models on the Hub"),
        (
            ("--to", "tensorrt-int8", "--min-seconds", "5", "--opt-seconds", "3", "-o", "out"),
            "need 0 < --min-seconds ≤ --opt-seconds ≤ --max-seconds, got 5, 3, 30",
        ),
    ],
)
def test_usage_errors(tmp_path, arguments, hint):
    done = run("qexport", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("qexport: error: ")
    assert hint in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "qexport: error: nowhere: no such folder, and not a Hub id (owner/model)"),
        (("checkpoint",), "checkpoint: no config.json in the checkpoint"),
        (("mine", "--calibration", "gone.jsonl"), "gone.jsonl: no such file or folder"),
        (("mine", "--calibration", "empty.jsonl"), "empty.jsonl: is empty; it needs one JSON object in each line"),
        (("mine", "--calibration", "bare.jsonl"), "bare.jsonl, line 1: no 'audio' column with a path (it has text)"),
        (("mine", "--calibration", "bad.jsonl"), "is not audio that can be read"),
        (("mine", "--exclude", "layer.7", "--calibration", "ok.jsonl"), "no layer matches the excluded layer.7"),
        (("mine", "--verification", "empty.jsonl", "--method", "dynamic"), "empty.jsonl: is empty"),
        (
            ("someone/model", "--offline"),
            "qexport: error: someone/model: not in the local cache, and --offline forbids",
        ),
    ],
)
def test_failures_are_one_line_and_leave_nothing(tmp_path, arguments, message):
    (tmp_path / "checkpoint").mkdir()
    shutil.copytree(reference.CHECKPOINT, tmp_path / "mine")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "bare.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "notes.txt").write_text("no audio " * 100)
    (tmp_path / "bad.jsonl").write_text('{"audio": "notes.txt"}\n')
    shutil.copy(reference.EVALUATION.parent / "000-m3.flac", tmp_path / "a.flac")
    (tmp_path / "ok.jsonl").write_text('{"audio": "a.flac"}\n')
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run("qexport", *arguments, "--to", "onnx-int8", "-o", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    errors = [line for line in done.stderr.splitlines() if line.startswith("qexport: ")]
    assert len(errors) == 1
    assert errors[0].startswith("qexport: error: ")
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_torchscript_transcribes_without_warnings(one_layer, tmp_path):
    """torch's native code warns about quantized tensors; users of these commands can do nothing about it."""
    assert fresh(one_layer, "-q", "--to", "torchscript-fbgemm", "-o", tmp_path / "out").returncode == 0
    audio = reference.EVALUATION.parent / "000-m3.flac"
    command = [sys.executable, "-c", "from qasr.cli.qinfer import run; run()", audio, "--artifact", tmp_path / "out"]
    done = subprocess.run([*command, "--trust-code"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
