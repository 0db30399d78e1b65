"""``qexport`` with budgets and maps."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from qasr.cli.frontier import check_plot
from qasr.errors import QasrError

from .in_process import run


def qexport(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run("qexport", *arguments, cwd=cwd)


def test_explains(exported, tmp_path):
    """The frontier as table, text and page, and why layers stayed high; measured before, by the export."""
    kept = exported("onnx-mixed").folder.parent / "kept"
    options = ("--journal", kept, "--calibration-clips", 16, "--budget-per", 0.2, "--plot", "frontier.html")
    done = qexport("--to", "onnx-mixed", "--explain", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["frontier.html"]
    assert "plotly" in (tmp_path / "frontier.html").read_text(encoding="utf-8")[:5000]
    lines = done.stdout.splitlines()
    assert "size, MB" in lines[0]
    assert sum(line.strip().startswith("→") for line in lines) == 1
    assert sum(line.strip().startswith("layers.") for line in lines) == 32
    assert any("o measured, # chosen" in line for line in lines)
    assert "points against labels on the calibration audio." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ("onnx-mixed", "--budget-size", "300XB"),
            "'300XB' is not a size; write it as 1.5GB, 300MiB, 4G or a number of bytes",
        ),
        (("onnx-mixed", "--budget-per", "-1"), "-1.0 is not in the range x>=0"),
        (("onnx-mixed", "--budget-per", "1", "--precision-map", "typical"), "exclude each other"),
        (("onnx-int8", "--budget-size", "3MB"), "--budget-size applies only to targets called …-mixed"),
        (("onnx-int8", "--explain", "--plot", "f.html"), "--plot applies only to --explain of targets called …-mixed"),
        (("onnx-mixed", "--explain", "--plot", "f.png"), "f.png is no .html file"),
        (("onnx-mixed", "--explain", "--precision-map", "typical"), "a precision map leaves nothing to choose"),
    ],
)
def test_usage_errors(tmp_path, arguments, hint):
    done = qexport("--to", *arguments, "-o", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert hint in " ".join(done.stderr.split()).replace(" │ ", " ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("a: [", "map.yaml, line 1: not YAML"),
        ("layers.*: int9", "no format 'int9' for this target; it has fp16, int8, int4, int2, float"),
        ("layer.*: int8", "no layer matches 'layer.*' of the precision map"),
    ],
)
def test_bad_maps(tmp_path, content, hint):
    (tmp_path / "map.yaml").write_text(content)
    done = qexport("--to", "onnx-mixed", "--precision-map", "map.yaml", "-o", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("qexport: error: ")
    assert hint in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["map.yaml"]


def test_a_plot_that_cannot_be_written(tmp_path):
    """Said before the search."""
    (tmp_path / "file").touch()
    for plot, hint in (
        ("nowhere/f.html", "nowhere/f.html: no folder nowhere to write it to; make it first"),
        ("file/f.html", "file/f.html: cannot be written (Not a directory); choose another path for --plot"),
    ):
        done = qexport("--to", "onnx-mixed", "--explain", "--plot", plot, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"qexport: error: {hint}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_trying_a_plot_leaves_nothing_behind(tmp_path, monkeypatch):
    there = tmp_path / "there.html"
    there.write_text("x")
    check_plot(None)
    check_plot(there)
    check_plot(tmp_path / "new.html")
    assert (there.read_text(), list(tmp_path.iterdir())) == ("x", [there])

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(QasrError, match=r"new.html: cannot be written \(Permission denied\); choose another path"):
        check_plot(tmp_path / "new.html")
