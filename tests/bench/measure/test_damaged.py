"""Damaged artifacts: a failed row with the reason, the others measured, and one error if nothing can be compared."""

from __future__ import annotations

import json

import pytest

from qasr.artifacts import LevelVocabulary, create
from qasr.bench.errors import BenchError
from qasr.bench.measure.options import Options
from qasr.bench.measure.run import Benchmark

FEW = {"threads": (1,), "rounds": 1, "min_seconds": 0.0, "min_queries": 1, "scenarios": ("single-stream",)}


def delete_manifest(folder):
    (folder / "manifest.json").unlink()


def change_a_file(folder):
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")


def shorten_a_file(folder):
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])


def raise_the_schema_version(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))


def replace_by_a_file(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("no folder")


def delete(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


DAMAGES = [
    (delete_manifest, "no manifest.json in it"),
    (change_a_file, "model.onnx: changed since it was exported (SHA-256 differs)"),
    (shorten_a_file, "model.onnx: has "),
    (raise_the_schema_version, "was written by a newer qasr (schema 99, "),
    (replace_by_a_file, "no manifest.json in it"),
    (delete, "no such folder"),
]
each_damage = pytest.mark.parametrize(("damage", "reason"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])


@each_damage
def test_a_damaged_artifact_is_a_failed_row(tone_data, named, damage, reason):
    """Although it is named first, and so would be the baseline if it were not damaged."""
    bad, good = named("bad"), named("good")
    damage(bad)
    report = Benchmark([bad, good], tone_data, Options(**FEW)).run(["qbench"])
    assert report.baseline == "good"
    measured, failed = report.rows
    assert (measured.name, measured.failure, len(measured.speeds)) == ("good", None, 1)
    assert (failed.name, failed.folder) == ("bad", str(bad))
    assert reason in failed.failure
    assert (failed.speeds, failed.processes, failed.accuracy) == ([], [], None)


@each_damage
def test_a_damaged_baseline_is_an_error_before_any_measurement(tone_data, named, damage, reason):
    bad, good = named("bad"), named("good")
    damage(bad)
    with pytest.raises(BenchError, match=r"^the baseline bad cannot be measured: ") as error:
        Benchmark([good, bad], tone_data, Options(**FEW), baseline=bad)
    assert reason in str(error.value)


def test_no_usable_artifact_is_one_error_with_all_reasons(tone_data, named):
    one, two = named("one"), named("two")
    delete_manifest(one)
    change_a_file(two)
    with pytest.raises(
        BenchError, match=r"^none of the artifacts can be measured: one: .*no manifest\.json.*; two: .*SHA-256 differs"
    ):
        Benchmark([one, two], tone_data, Options(**FEW))


def artifact_of(folder, toy, manifest):
    with create(folder) as staging:
        (staging.folder / "model.onnx").write_bytes(toy.path("model.onnx").read_bytes())
        staging.publish(manifest)
    return folder


def test_an_engine_whose_library_is_missing(tone_data, named, toy, make_manifest, tmp_path, monkeypatch):
    from qasr.runtimes.engine import EngineEntry

    other = artifact_of(tmp_path / "other", toy, make_manifest(engine="openvino"))
    monkeypatch.setattr(EngineEntry, "is_installed", property(lambda entry: entry.library != "openvino"))
    good, failed = Benchmark([other, named("good")], tone_data, Options(**FEW)).run(["qbench"]).rows
    assert good.failure is None
    assert failed.failure == "openvino is not installed; type: pip install 'qasr[openvino]'"
    assert failed.size_bytes > 0
    with pytest.raises(BenchError, match="the baseline other cannot be measured: openvino is not installed"):
        Benchmark([named("fine")], tone_data, Options(**FEW), baseline=other)


def test_an_engine_that_this_qasr_does_not_have(tone_data, named, toy, make_manifest, tmp_path):
    other = artifact_of(tmp_path / "other", toy, make_manifest(engine="abacus"))
    _, failed = Benchmark([other, named("good")], tone_data, Options(**FEW)).run(["qbench"]).rows
    assert failed.failure.startswith("needs the engine 'abacus'; this qasr has onnx, ")


def test_other_levels_than_the_baselines(tone_data, named, toy, make_manifest, tmp_path):
    levels = {"letters": LevelVocabulary(["[PAD]", "x"], 0, [0])}
    other = artifact_of(tmp_path / "other", toy, make_manifest(levels=levels))
    good, failed = Benchmark([named("good"), other], tone_data, Options(**FEW)).run(["qbench"]).rows
    assert good.failure is None
    assert failed.failure == "its levels and vocabularies differ from those of the baseline good"
