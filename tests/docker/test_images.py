"""The images: their files, and the build steps of the CPU image, run in environments of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from qasr import load, reference

ROOT = Path(__file__).parents[2]
CLIP = reference.EVALUATION.parent / "000-m3.flac"


def _prove():
    spec = importlib.util.spec_from_file_location("prove", ROOT / "docker" / "prove.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["prove"] = module
    spec.loader.exec_module(module)
    return module


prove = _prove()
SERVICES = prove.services()


def test_services():
    assert set(SERVICES) == {"cpu", "serve", "cpu-bench", "gpu", "gpu-bench", "export"}
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for service in SERVICES.values():
        assert set(service.arguments["EXTRAS"].split(",")) <= set(setup["options.extras_require"])


def test_the_build_context_holds_every_package(tmp_path):
    """All packages, the modules of the root, and what installs them; neither tests nor tools."""
    prove.copy_context(tmp_path / "context")
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tools"}
    modules = {path.name for path in ROOT.glob("*.py")}
    names = {path.name for path in (tmp_path / "context").iterdir()}
    assert names >= packages | modules | {"setup.cfg", "pyproject.toml", "constraints.txt", "README.md"}
    assert not names & {"tests", "tools", "docs", "docker"}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_final_stages(service):
    """No root, a health check, no build tools, and a base with a digest."""
    assert prove.last(service.target, "USER") == "10001"
    check = prove.health_check(service.target)
    if service.target == "serve":
        assert check[:2] == ["python", "-c"]
        assert "/livez" in check[2]
        assert prove.last("serve", "ENTRYPOINT") == '["qserve", "--host", "0.0.0.0"]'
    else:
        assert check == ["qinfer", "--version"]
    copied = [value for keyword, value in prove.chain(service.target) if keyword == "COPY"]
    assert len(copied) == 1
    assert copied[0].endswith("/opt/qasr /opt/qasr")
    assert not any("pip" in value for keyword, value in prove.chain(service.target) if keyword == "RUN")
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON=python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON}", "build", "base"}


@pytest.mark.parametrize(
    ("extras", "target", "most_megabytes"), [("onnx", "onnx-int8", 220), ("onnx,openvino", "openvino-int8", 420)]
)
def test_cpu_image(extras, target, most_megabytes, exported, tmp_path, capfd):
    """The environment is small enough, transcribes, and contains nothing of the build half."""
    environment = prove.build(prove.Service("run", {"EXTRAS": extras}), tmp_path)
    assert prove.megabytes(environment) < most_megabytes
    assert not prove.modules(environment) & set(prove.NOT_IN_RUN_IMAGES)
    home = tmp_path / "home"
    home.mkdir()
    assert prove.run(environment, prove.health_check("run"), home).returncode == 0
    artifact = exported(target, "static").folder
    done = prove.run(environment, ["qinfer", str(CLIP), "--artifact", str(artifact)], home)
    assert (done.returncode, done.stderr) == (0, "")
    with load(artifact) as model:
        assert done.stdout == model.transcribe(CLIP).text + "\n"
    listed = prove.run(environment, ["qexport", "--list"], home)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "no: torch is not installed, pip install 'qasr[export]'" in listed.stdout
    # Without the build half the error names what to install.
    refused = prove.run(environment, ["qexport", "--to", "onnx-fp32", "-o", "out"], home)
    assert refused.returncode == 1
    assert refused.stderr == "qexport: error: torch is not installed; type: pip install 'qasr[export]'\n"


def test_bench_image(exported, tmp_path):
    """The command, in the tests' own environment: it measures all mounted artifacts and writes the report."""
    artifacts, report, home = (tmp_path / name for name in ("artifacts", "report", "home"))
    home.mkdir()
    for target in ("onnx-fp32", "onnx-int8"):
        shutil.copytree(exported(target).folder, artifacts / target)
    for service in ("cpu-bench", "gpu-bench"):
        folders = {"/artifacts": artifacts, "/report": report}
        command = prove.entry_point(SERVICES[service].target, folders)
        assert command == ["sh", "-c", f'exec qbench {artifacts}/*/ --report {report} "$@"', "qbench"]
    quick = ["--limit", "2", "--rounds", "1", "--scenario", "single-stream", "--min-seconds", "0", "--min-queries", "1"]
    here = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = prove.run(Path(sys.prefix), [*command, *quick], home, **here)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in report.iterdir()} == {"report.html", "report.json", "report.csv"}
    rows = json.loads((report / "report.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["name"], row["failure"]) for row in rows] == [("onnx-fp32", None), ("onnx-int8", None)]
    assert "onnx-int8" in done.stdout
    empty = prove.entry_point("bench", {"/artifacts": tmp_path / "nothing", "/report": report})
    done = prove.run(Path(sys.prefix), empty, home, **here)
    assert done.returncode == 1
    assert done.stderr.startswith("qbench: error: ")
    assert done.stderr.count("\n") == 1


def test_arguments_after_two_dashes_go_to_the_image():
    assert prove._split(["cpu", "--build-arg", "EXTRAS=onnx", "--", "--help"]) == (
        ["cpu", "--build-arg", "EXTRAS=onnx"],
        ["--help"],
    )
    assert prove._split(["cpu"]) == (["cpu"], [])
