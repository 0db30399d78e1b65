"""``python -m qasr.runtimes.probe`` in a fresh process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from qasr.artifacts import create
from qasr.runtimes import EngineOptions, load_engine


def probe(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "qasr.runtimes.probe", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def inputs(tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        "inputs_0": random.standard_normal((3, 40, 160)).astype(np.float32),
        "lengths_0": np.array([80, 62, 14]),
        "inputs_1": random.standard_normal((1, 11, 160)).astype(np.float32),
        "lengths_1": np.array([22]),
    }
    np.savez(tmp_path / "in.npz", **arrays)
    return arrays


def test_logits_and_report(toy, inputs, tmp_path):
    done = probe(toy.folder, tmp_path / "in.npz", tmp_path / "out.npz", "--threads", 1)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["load_seconds"] > 0
    assert report["peak_rss_bytes"] > 10_000_000
    assert sum(report["kernels"].values()) >= 2
    assert set(report["kernels"]) <= {"MatMul", "Add", "Gemm", "FusedMatMul"}
    engine = load_engine(toy, EngineOptions())
    with np.load(tmp_path / "out.npz") as outputs:
        assert set(outputs.files) == {f"logits_{index}_{level}" for index in (0, 1) for level in ("letters", "loud")}
        for index in (0, 1):
            for level, logits in engine.infer(inputs[f"inputs_{index}"], inputs[f"lengths_{index}"]).items():
                np.testing.assert_allclose(outputs[f"logits_{index}_{level}"], logits, atol=1e-5)


def test_each_kernel_counts_once_however_often_it_ran(toy, inputs, tmp_path):
    once = {name: value for name, value in inputs.items() if name.endswith("_0")}
    np.savez(tmp_path / "once.npz", **once)
    reports = [
        json.loads(probe(toy.folder, tmp_path / name, tmp_path / "out.npz").stdout) for name in ("in.npz", "once.npz")
    ]
    assert reports[0]["kernels"] == reports[1]["kernels"]


def test_a_draft_has_its_manifest_elsewhere(toy, inputs, tmp_path, make_manifest):
    with create(tmp_path / "new") as staging:
        shutil.copy(toy.path("model.onnx"), staging.folder)
        draft = staging.draft(make_manifest())
        (tmp_path / "draft.json").write_bytes(draft.manifest.encode())
        arguments = staging.folder, tmp_path / "in.npz", tmp_path / "out.npz"
        done = probe(*arguments, "--manifest", tmp_path / "draft.json")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out.npz").exists()
        assert "no manifest.json in it" in probe(*arguments).stderr


def test_code_is_run_if_the_caller_trusts_it(toy, inputs, tmp_path, make_manifest):
    with create(tmp_path / "code") as staging:
        (staging.folder / "model.pt").write_bytes(b"code")
        artifact = staging.publish(make_manifest("torchscript-fbgemm", engine="torchscript"))
    arguments = artifact.folder, tmp_path / "in.npz", tmp_path / "out.npz"
    assert "is code, which could do anything that you can do" in probe(*arguments).stderr
    assert "quantized_engine" in probe(*arguments, "--trust-code").stderr


def test_a_changed_artifact_fails_in_one_line(toy, inputs, tmp_path):
    (toy.folder / "model.onnx").write_bytes((toy.folder / "model.onnx").read_bytes()[:-1] + b"\x00")
    done = probe(toy.folder, tmp_path / "in.npz", tmp_path / "out.npz")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()
