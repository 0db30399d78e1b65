"""The comparison with peers: a complete run on the small model, failed rows, ratios, wrong input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from qasr import reference
from qasr.bench.peers import child, make, measure
from qasr.bench.peers.__main__ import clip
from qasr.bench.peers.candidates import BASELINE, Candidate
from qasr.bench.peers.engines import Spec, StockEngine
from qasr.bench.peers.errors import CandidateError, PeersError
from qasr.bench.peers.measure import Bench, Options
from qasr.bench.peers.report import cells, markdown
from qasr.bench.peers.results import FLOOR, Entry, Outcome, Results, Sample

QUIET = Console(quiet=True)


def peers(*arguments):
    command = [sys.executable, "-m", "qasr.bench.peers", "--model", "reference", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_whole_run(tmp_path, exported):
    """Every way to build a peer, on the small model: all transcribe like torch, once per clip and round."""
    ours = exported("onnx-int8", "static").folder
    files = tmp_path / "out.json", tmp_path / "out.md"
    short = ["--durations", "3,2", "--rounds", "1", "--loads", "1", "--threads", "1"]
    names = [BASELINE, "torch-ao-dynamic", "onnxruntime-fp32", "onnxruntime-dynamic", "openvino-nncf"]
    short += [part for name in names for part in ("--peer", name)]
    done = peers("--work", tmp_path / "work", *short, "--json", files[0], "--markdown", files[1], ours)
    assert done.returncode == 0, done.stderr
    actual = json.loads(files[0].read_text())
    names.append(f"qasr {ours.name}")
    assert [entry["candidate"]["name"] for entry in actual["entries"]] == names
    assert actual["parameters"] == 3_499_659
    baseline = actual["entries"][0]["outcome"]["ids"]
    assert len(baseline) > 10
    for entry in actual["entries"]:
        name, outcome = entry["candidate"]["name"], entry["outcome"]
        assert outcome["error"] is None
        assert len(outcome["ids"]) == pytest.approx(len(baseline), abs=2)
        assert sum(a != b for a, b in zip(outcome["ids"], baseline, strict=False)) <= 2
        assert outcome["peak_bytes"] > 30e6
        assert len(outcome["load_seconds"]) == 1
        assert entry["bytes"] > 3e6
        taken = [(sample["clip"], sample["turn"]) for sample in actual["samples"] if sample["name"] == name]
        assert taken == [("3", 1), ("2", 1)]
    assert all(sample["seconds"] > 0 for sample in actual["samples"] if sample["name"] != FLOOR)
    # The fp32 rows compute what torch does exactly.
    assert actual["entries"][names.index("onnxruntime-fp32")]["outcome"]["ids"] == baseline
    assert actual["floor_missing"] == {}
    rates = [sample["rates"] for sample in actual["samples"] if sample["name"] == FLOOR]
    assert len(rates) == 1
    assert {product.split()[0] for product in rates[0]} == {"onnxruntime", "openvino", "torch"}
    assert min(rates[0].values()) > 1e9
    page = files[1].read_text()
    assert all(f"| {name} | " in page for name in names)
    assert "int8 floor: 2 * 3.5 M parameters" in page
    assert f"qasr {ours.name}: " in done.stdout


@pytest.fixture
def bench(tmp_path):
    file = tmp_path / "2.npy"
    np.save(file, clip(2))
    return Bench(reference.CHECKPOINT, {"2": file}, tmp_path, Options(rounds=1, loads=1, threads=1), QUIET)


def test_a_failed_candidate_is_a_row_without_times(tmp_path, bench, exported):
    good = exported("onnx-int8", "static").folder
    shutil.copytree(good, tmp_path / "changed")
    (tmp_path / "changed" / "model.onnx").write_bytes((good / "model.onnx").read_bytes()[:-1] + b"x")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    candidates = [
        Candidate("broken", "onnxruntime", str(tmp_path / "model.onnx"), "by hand", int8=True),
        Candidate("changed", "qasr", str(tmp_path / "changed"), "by hand", int8=True, ours=True),
        Candidate("good", "qasr", str(good), "qexport", int8=True, ours=True),
    ]
    bench.run(candidates)
    assert "InvalidProtobuf" in bench.outcomes["broken"].error
    assert "model.onnx: changed since it was exported (SHA-256 differs)" in bench.outcomes["changed"].error
    assert bench.outcomes["good"].error is None
    assert {sample.name for sample in bench.samples} == {"good", FLOOR}
    report = results([Entry(one, bench.outcomes[one.name], 1) for one in candidates], bench.samples, [2])
    _, *rows = cells(report)
    assert rows[0][:3] == ["broken", "failed", ""]
    assert "- broken failed: InvalidProtobuf" in markdown(report)


def test_a_process_that_dies(tmp_path, bench, exported):
    candidate = Candidate("good", "qasr", str(exported("onnx-int8", "static").folder), "", ours=True)
    with bench._child(candidate) as process:
        assert len(process.transcribe("2").ids) > 5
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
        with pytest.raises(CandidateError, match=r"killed by signal 9 \(out of memory\?\): no message"):
            process.transcribe("2")


def test_a_process_that_hangs(bench, exported, monkeypatch):
    monkeypatch.setattr(child, "_TIMEOUT_SECONDS", 0.01)
    candidate = Candidate("good", "qasr", str(exported("onnx-int8", "static").folder), "", ours=True)
    with bench._child(candidate) as process, pytest.raises(CandidateError, match=r"no answer within 0\.01 s"):
        process.transcribe("2")


@pytest.mark.parametrize(
    ("frames", "fill", "complaint"),
    [(100, 0.0, None), (100, np.nan, "logits that are not finite"), (50, 0.0, "logits of the shapes")],
)
def test_unusable_output_is_an_error(frames, fill, complaint):
    config = json.loads((reference.CHECKPOINT / "config.json").read_text())
    logits = [np.full((1, frames, width), fill, np.float32) for width in config["level_to_vocab_size"].values()]
    spec = Spec("none", "", str(reference.CHECKPOINT), 1, {})
    engine = StockEngine(spec, lambda *_: logits, "")
    result = engine.run(clip(2))
    if complaint is None:
        assert engine.check(result, 2.0) == []
    else:
        with pytest.raises(CandidateError, match=complaint):
            engine.check(result, 2.0)


def results(entries, samples, durations):
    return Results("command", {}, "reference", 10**9, durations, 3, 1, entries, samples, {})


def entry(name, *, int8=False, ours=False, peak=1.0):
    outcome = Outcome(peak_bytes=int(peak * 1e9), load_seconds=[1.0, 3.0, 2.0], ids=[1, 2])
    return Entry(Candidate(name, "kind", "", "", int8, ours), outcome, 1)


def test_ratios_are_taken_within_rounds():
    """The machine is three times slower in round 2: ratios of medians would be off, medians of ratios are not."""
    entries = [entry(BASELINE, peak=4), entry("peer", int8=True, peak=2), entry("ours", int8=True, ours=True, peak=0.5)]
    entries.append(entry("lean", int8=True, peak=1))
    samples = [
        Sample(name, "10", 0, turn, seconds * slowness, {})
        for turn, slowness in ((1, 1.0), (2, 3.0), (3, 1.0))
        for name, seconds in ((BASELINE, 8.0), ("peer", 4.0), ("ours", 1.0), ("lean", 5.0))
    ]
    samples += [Sample(FLOOR, "", 0, turn, 0.0, {"a": 2e12 / turn, "b": 1e12}) for turn in (1, 2)]
    report = results(entries, samples, [10])
    assert report.speedup("ours", BASELINE, "10") == 8.0
    assert report.floor_rates() == {"a": 2e12, "b": 1e12}
    assert report.floor_seconds("10") == pytest.approx(2 * 1e9 * 500 / 2e12)
    actual = {(ratio.what, ratio.against): ratio.value for ratio in report.ratios()}
    assert actual == pytest.approx(
        {
            ("times as fast, 10 s clip", BASELINE): 8.0,
            ("times as fast, 10 s clip", "peer"): 4.0,
            ("times the time, 10 s clip", "the int8 floor"): 2.0,
            ("times the peak memory, 10 s clip", "peer (fastest INT8 peer)"): 0.25,
            ("times the peak memory, 10 s clip", "lean (leanest INT8 peer)"): 0.5,
        }
    )
    assert "ours: first result 2.00 s after its process was started" in markdown(report)


def test_groups_fit_into_memory(bench, monkeypatch):
    candidates = [entry(BASELINE).candidate, *(entry(name).candidate for name in "abcd")]
    candidates.append(entry("ours", ours=True).candidate)
    for one, gigabytes in zip(candidates, (4, 3, 2, 9, 1, 1), strict=True):
        bench.outcomes[one.name] = Outcome(peak_bytes=gigabytes << 30)
    monkeypatch.setattr(measure, "available_bytes", lambda: (2 + 5 + 4) << 30)
    groups = [[one.name for one in group] for group in bench._groups(candidates)]
    assert groups == [[BASELINE, "ours", "a", "d"], [BASELINE, "ours", "b"]]
    assert bench.outcomes["c"].error == "needs 9.7 GB beside 2 other candidates, which leave 4.3 GB"
    monkeypatch.setattr(measure, "available_bytes", lambda: 3 << 30)
    with pytest.raises(PeersError, match=r"torch-eager, ours together need 4\.3 GB more than this machine has free"):
        bench._groups(candidates)


def test_missing_artifacts_are_exported(tmp_path, exported, monkeypatch):
    """An artifact of this qasr is reused; one of another version is exported again, and a failure has a reason."""
    monkeypatch.setattr(make, "_QEXPORT", "import sys; print('Working'); sys.exit('qexport: error: no room')")
    shutil.copytree(exported("onnx-int8", "static").folder, tmp_path / "onnx-int8")
    (tmp_path / "openvino-int8").mkdir()
    (tmp_path / "openvino-int8" / "manifest.json").write_text('{"schema_version": 0}')
    folders, failed = make.make_artifacts(tmp_path, "reference", QUIET)
    assert folders == [tmp_path / "onnx-int8"]
    assert failed == {"openvino-int8": "not exported: exit 1: qexport: error: no room"}


def test_wrong_input_is_a_one_line_error(tmp_path, toy):
    done = peers("--work", tmp_path / "work", tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'nothing'}: ")
    assert done.stderr.count("\n") == 1
    done = peers("--work", tmp_path / "work", toy.folder)
    assert done.returncode == 1
    assert done.stderr == f"error: {toy.folder}: was exported from toy, but the peers from reference; see --model\n"
    done = peers("--work", tmp_path / "work", "--durations", "10,x")
    assert done.returncode == 2
    assert "'10,x' is not a list of different whole seconds from 1 to 60" in done.stderr
    assert not (tmp_path / "work").exists()
