"""The wheel holds every room, and runs an artifact in an environment that has neither torch nor transformers."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("qasr-*.whl")
    return found


def test_wheel_holds_every_package_and_the_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "--", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    expected = {f"qasr/{name}" for name in listed if not name.startswith("tests/")}
    assert expected <= names, f"missing: {sorted(expected - names)}"
    assert {"qasr/py.typed", "qasr/reference/README.md"} <= names
    for name in ("checkpoint/model.safetensors", "checkpoint/vocab.json", "evaluation/manifest.jsonl"):
        assert f"qasr/reference/{name}" in names
    assert sum(name.endswith(".flac") for name in names) == 160 + 64
    assert not any(name.startswith(("qasr/tests", "tests", "qasr/docs")) for name in names)
    assert {name.split("/")[0] for name in names} <= {
        "qasr",
        next(iter(n for n in names if "dist-info" in n)).split("/")[0],
    }


def test_runs_without_torch(wheel, tmp_path, exported):
    artifact = exported("onnx-int8", "static")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), f"{wheel}[onnx]"], check=True, cwd=tmp_path)
    present = subprocess.run(
        [
            python,
            "-c",
            "import importlib.util as u; print([n for n in ('torch', 'transformers', 'onnx') if u.find_spec(n)])",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert present.stdout.strip() == "[]"

    from qasr import load, reference

    clip = reference.EVALUATION.parent / "000-m3.flac"
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "qinfer", str(clip), "--artifact", str(artifact.folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with load(artifact.folder) as model:
        assert done.stdout == model.transcribe(clip).text + "\n"
    # The build half says what to install instead of failing in the middle.
    refused = subprocess.run(
        [tmp_path / "env" / "bin" / "qexport", "--to", "onnx-fp32", "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr == "qexport: error: torch is not installed; type: pip install 'qasr[export]'\n"
