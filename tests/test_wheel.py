"""The wheel holds every room and its data."""

from __future__ import annotations

import subprocess
import sys
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
    expected = {f"qasr/{name}" for name in listed if not name.startswith(("tests/", "docker/"))}
    assert expected <= names, f"missing: {sorted(expected - names)}"
    assert {"qasr/py.typed", "qasr/reference/README.md"} <= names
    for name in ("checkpoint/model.safetensors", "checkpoint/vocab.json", "evaluation/manifest.jsonl"):
        assert f"qasr/reference/{name}" in names
    assert sum(name.endswith(".flac") for name in names) == 160 + 64
    assert not any(name.startswith(("qasr/tests", "tests", "qasr/docs", "qasr/docker")) for name in names)
    assert {name.split("/")[0] for name in names} <= {
        "qasr",
        next(iter(n for n in names if "dist-info" in n)).split("/")[0],
    }
