"""The commands measure, show, compare and techniques, and their errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner

from qasr import reference
from qasr.bench.results import read_report
from qasr.cli.qbench import command

from ..data.qdat_samples import ROW, prediction
from .in_process import run

FAST = ["--rounds", "1", "--min-seconds", "0", "--min-queries", "1", "--threads", "1"]


@pytest.fixture
def data(tmp_path, make_tones):
    rows = []
    for number, text in enumerate(("abc", "cab", "b")):
        soundfile.write(tmp_path / f"{number}.wav", make_tones(text), 16_000)
        rows.append({"audio": f"{number}.wav", "letters": text})
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "data.jsonl")


def invoke(*arguments):
    """As ``run`` does it: the commands return their exit code."""
    given = [str(argument) for argument in arguments]
    wide = {"COLUMNS": "200"}
    result = CliRunner().invoke(command, given, env=wide, catch_exceptions=False, standalone_mode=False)
    result.exit_code = result.exit_code or result.return_value or 0
    return result


def test_help_names_the_commands():
    result = invoke("--help")
    assert result.exit_code == 0
    for name in ("measure", "show", "compare", "techniques"):
        assert name in result.output


def test_measure_report_show_compare(toy, data, tmp_path):
    other = shutil.copytree(toy.folder, tmp_path / "other")
    result = invoke(toy.folder, other, "--data", data, *FAST, "--report", tmp_path / "report", "--recommend", "-q")
    assert result.exit_code == 0, result.output
    assert "toy" in result.output
    assert "other" in result.output
    report = read_report(tmp_path / "report" / "report.json")
    assert [row.name for row in report.rows] == ["toy", "other"]
    assert (tmp_path / "report" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "report" / "report.csv").read_text().count("\n") >= 3
    shown = invoke("show", tmp_path / "report" / "report.json", "--max-size", "1GB")
    assert shown.exit_code == 0
    assert "other" in shown.output
    compared = invoke("compare", tmp_path / "report" / "report.json", tmp_path / "report" / "report.json")
    assert compared.exit_code == 0
    assert "no difference beyond noise" in compared.output.lower()


def test_options_may_come_first(toy, data):
    result = invoke("--data", data, *FAST, toy.folder)
    assert result.exit_code == 0, result.output


def test_damaged_artifacts_are_failed_rows_and_exit_code_1(toy, data, tmp_path):
    """A changed file, a missing manifest, no folder: the sound artifact is measured, and the report has all rows."""
    changed, empty = shutil.copytree(toy.folder, tmp_path / "changed"), tmp_path / "empty"
    model = changed / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    empty.mkdir()
    folders = [changed, empty, tmp_path / "nowhere", toy.folder]
    result = invoke(*folders, "--data", data, *FAST, "--report", tmp_path / "report")
    assert result.exit_code == 1
    for reason in ("changed failed: ", "SHA-256 differs", "empty failed: ", "nowhere failed: "):
        assert reason in result.output
    rows = read_report(tmp_path / "report" / "report.json").rows
    assert [(row.name, row.failure is None) for row in rows] == [
        ("toy", True), ("changed", False), ("empty", False), ("nowhere", False),
    ]  # fmt: skip
    assert rows[0].speeds


def test_no_arguments_show_the_help_and_a_wrong_option_is_one_line():
    command = [sys.executable, "-c", "from qasr.cli.qbench import run; run()"]
    bare = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Usage: qbench" in bare.stdout + bare.stderr
    assert "Commands:" in bare.stdout + bare.stderr
    wrong = subprocess.run([*command, "out", "--scenarios", "x"], capture_output=True, text=True, check=False)
    (line,) = wrong.stderr.splitlines()
    assert (wrong.returncode, line.startswith("qbench: error: No such option")) == (2, True)


def test_no_sound_artifact_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from qasr.cli.qbench import run; run()", str(tmp_path / "a"), str(tmp_path / "b")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("qbench: error: none of the artifacts can be measured: a: ")
    assert "Traceback" not in done.stderr


def test_a_damaged_baseline_ends_the_command_before_any_measurement(toy, data, tmp_path):
    from qasr.bench.errors import BenchError

    with pytest.raises(BenchError, match=r"the baseline nowhere cannot be measured: .*no such folder"):
        invoke(toy.folder, "--baseline", tmp_path / "nowhere", "--data", data, *FAST)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "two"], "'two' is not a list of numbers separated by commas"),
        (["--from-verses", "1:1"], "--from-verses and --audio-dir go together"),
        (["--max-rss", "lots"], "lots"),
        (["--max-per-delta", "little"], "'little' is not a number of percentage points"),
    ],
)
def test_wrong_usage(toy, arguments, message):
    result = CliRunner().invoke(command, [str(toy.folder), *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_nothing_given():
    result = CliRunner().invoke(command, ["measure"])
    assert result.exit_code == 2
    assert "Missing argument" in result.output


def test_techniques_of_existing_artifacts(exported, tmp_path):
    """Two artifacts of the bundled model are taken, none is built; missing ones are listed."""
    folder = tmp_path / "techniques"
    folder.mkdir()
    for target, method in (("onnx-fp32", None), ("onnx-int8", "dynamic")):
        artifact = exported(target, method)
        shutil.copytree(artifact.folder, folder / artifact.folder.name)
    result = invoke("techniques", "reference", "-o", folder, "--no-export", "--limit", "6", *FAST, "-q")
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.output.splitlines() if line.strip().startswith("✓"))
    assert "Dynamic PTQ" in line
    assert "ONNX Runtime" in line
    assert "not measured" in result.output


def test_techniques_without_a_baseline(tmp_path):
    from qasr.errors import QasrError

    with pytest.raises(QasrError, match="no baseline: no onnx-fp32 in"):
        invoke("techniques", "-o", tmp_path, "--no-export")


def test_score_of_published_predictions(tmp_path):
    """Every figure, and in a file; the annotations need no audio."""
    (tmp_path / "qdat_bench_annotations.json").write_text(json.dumps({"a": ROW}))
    (tmp_path / "one.jsonl").write_text(prediction("a"))
    (tmp_path / "two.jsonl").write_text(prediction("a", phonemes="قَاالُۥۥ"))
    done = run("qbench", "score", "one.jsonl", "two.jsonl", "--data", ".", "--json", "scores.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "per_phonemes" in line)
    assert line.split() == ["per_phonemes,", "%", "62.500", "0.000", "-62.500"]
    assert "1 clips, scored from predictions only." in done.stdout
    assert [one["name"] for one in json.loads((tmp_path / "scores.json").read_text())] == ["one", "two"]
    refused = run("qbench", "out", "--data", ".", cwd=tmp_path)
    assert refused.returncode == 1
    assert "annotations without audio" in refused.stderr


def test_tajweed_of_artifacts(exported, tmp_path):
    """Of recordings with annotations, in the table, the report and a file of predictions."""
    rows = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()[:2]]
    folder = tmp_path / "data"
    folder.mkdir()
    for row in rows:
        shutil.copy(reference.EVALUATION.parent / row["audio"], folder)
    (folder / "qdat_bench_annotations.json").write_text(json.dumps({Path(row["audio"]).stem: ROW for row in rows}))
    outputs = ["--report", tmp_path / "report", "--predictions", tmp_path / "predictions"]
    artifact = exported("onnx-int8", "dynamic").folder
    done = run("qbench", artifact, "--data", folder, *FAST, "--scenario", "single-stream", *outputs)
    assert done.returncode == 0, done.stderr
    assert "noon moshaddadah F1" in done.stdout
    (row,) = json.loads((tmp_path / "report" / "report.json").read_text())["rows"]
    assert row["tajweed"]["separate_madd_rmse"] == {"value": 4.0, "delta": None}
    written = (tmp_path / "predictions" / f"{artifact.name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in written] == sorted(Path(row["audio"]).stem for row in rows)
