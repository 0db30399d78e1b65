"""``qtrain`` on the command line."""

from __future__ import annotations

import pytest
from rich.console import Console

from qasr.artifacts import read
from qasr.cli.technique_artifacts import collect

from .in_process import run


@pytest.fixture
def data(make_data):
    return make_data(count=6)


def test_trains_exports_and_is_ticked(data, tmp_path, exported):
    done = run("qtrain", "--data", data, "--partial", "--evaluations", "1", "-o", tmp_path / "tuned")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("step 0, fp32: held-out loss 0.")
    assert lines[-1].startswith(f"{tmp_path}/tuned: 24 layers in int8, step 1; held-out error rate ")
    assert lines[-1].count("(fp32 ") == 2
    made = tmp_path / "made"
    made.mkdir()
    done = run("qexport", tmp_path / "tuned", "--to", "onnx-int8", "-o", made / "qat")
    assert done.returncode == 0, done.stderr
    assert read(made / "qat").manifest.method == "qat-partial"
    # Beside artifacts of the checkpoint that it began as.
    (made / "float").symlink_to(exported("onnx-fp32").folder)
    paths, failures = collect("reference", made, None, "cpu", build=False, console=Console(quiet=True))
    assert [path.name for path in paths] == ["float", "qat"]
    assert failures == []
    again = run("qtrain", "--data", data, "-o", tmp_path / "tuned")
    assert (again.returncode, again.stderr) == (
        1,
        f"qtrain: error: {tmp_path}/tuned: exists already; choose another folder, or add --force to replace it\n",
    )
    twice = run("qtrain", tmp_path / "tuned", "--data", data, "-o", tmp_path / "more")
    assert twice.returncode == 1
    assert "was trained while quantized already; train the checkpoint it came from" in twice.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group-size", "32"], "--group-size applies only to --scheme int4 and int2"),
        (["--scheme", "int4", "--round-outputs"], "--round-outputs applies only to --scheme int8"),
        (["--temperature", "2"], "--temperature applies only to --distill"),
        (["--device", "tpu"], "--device 'tpu' is neither cpu nor cuda"),
        (["--scheme", "int3"], "'int3' is not one of"),
    ],
)
def test_options_that_would_do_nothing(arguments, message, data, tmp_path):
    done = run("qtrain", "--data", data, "-o", tmp_path / "tuned", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("qtrain: error: ")
    assert message in line


def test_no_gpu(data, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = run("qtrain", "--data", data, "-o", tmp_path / "tuned", "--device", "cuda")
    assert (done.returncode, done.stderr) == (
        1,
        "qtrain: error: cuda: this torch sees no such GPU; train with --device cpu\n",
    )
