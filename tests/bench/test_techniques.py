"""The list of techniques: measured ones are ticked and have figures."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from qasr.bench.results import (
    Accuracy,
    Data,
    Environment,
    Interval,
    LevelErrors,
    Query,
    Report,
    Row,
    Settings,
    Speed,
)
from qasr.bench.techniques import FLOAT, TECHNIQUES, TRAINED, preferred_recipes, row_of, technique_table
from qasr.exporters.plan import resolve
from qasr.exporters.request import Request


def measured(name, target, method, *, seconds, size, edits, delta=None, failure=None):
    queries = [
        Query(
            round=number, clips=1, audio_seconds=1.0, latency_seconds=seconds, features_seconds=0.0,
            inference_seconds=seconds, decoding_seconds=0.0,
        )
        for number in (1, 2)
    ]  # fmt: skip
    speed = Speed(
        scenario="single-stream", clip_seconds=None, threads=1, batch=1, queries=queries,
        wall_seconds={1: seconds, 2: seconds}, peak_rss_bytes=1,
    )  # fmt: skip
    accuracy = Accuracy(
        levels={"phonemes": LevelErrors(edits=[edits], lengths=[1000])},
        first_delta=None if delta is None else Interval(value=delta, low=delta, high=delta),
    )
    return Row(
        name=name, folder=name, digest="", target=target, method=method, engine="e", source="reference", parameters=1,
        size_bytes=size, failure=failure, speeds=[] if failure else [speed], accuracy=None if failure else accuracy,
    )  # fmt: skip


@pytest.fixture
def report():
    rows = [
        measured("base", "onnx-fp32", None, seconds=0.5, size=1_000, edits=7),
        measured("dyn", "onnx-int8", "dynamic", seconds=0.2, size=250, edits=8, delta=0.001),
        measured("bad", "torch-inc-int8", "inc", seconds=1, size=250, edits=8, failure="hangs"),
    ]
    return Report(
        qasr_version="0", started="2026-11-23T10:00:00+00:00", wall_seconds=1.0, command=["qbench"],
        environment=Environment(
            processor="p", cores=1, flags=[], governor=None, memory_bytes=1, system="s", python="3", libraries={},
            variables={}, gpus=[], load_average=0.0, idle_share=1.0,
        ),
        settings=Settings(
            scenarios=["single-stream"], durations=[None], threads=[1], batches=[8], rounds=2, min_seconds=1.0,
            min_queries=1, timeout_seconds=1.0, device="cpu", latency_bound_seconds=1.0, seed=0,
        ),
        data=Data(name="d", sha256="0", recordings=["a"], seconds=[1.0], levels=["phonemes"]),
        baseline="base", rows=rows,
    )  # fmt: skip


def lines(report):
    console = Console(file=StringIO(), width=220)
    console.print(technique_table(report))
    return [line.strip() for line in console.file.getvalue().splitlines()]


def test_measured_techniques_are_ticked(report):
    (line,) = (line for line in lines(report) if line.startswith("✓"))
    assert line.split()[:6] == ["✓", "Dynamic", "PTQ", "ONNX", "Runtime", "dyn"]
    # 0.5 / 0.2 s, 1000 / 250 bytes, 0.1 points.
    assert "2.50 x Medium" in line
    assert "4.0 x High" in line
    assert line.endswith("+0.10 Low")


def test_missing_artifacts_are_listed(report):
    table = lines(report)
    assert len(table) == 1 + len(TECHNIQUES)
    assert all("not measured" in line for line in table if any(one in line for one in ("QAT", "GPTQ", "quanto")))
    assert sum("needs --device cuda" in line for line in table) == sum(technique.gpu for technique in TECHNIQUES) == 5
    (inc,) = (line for line in table if "Neural Compressor" in line)
    assert "failed: hangs" in inc
    assert any("Static PTQ" in line and "not measured" in line for line in table)


def test_a_row_without_failure_is_preferred(report):
    technique = next(technique for technique in TECHNIQUES if technique.tool == "Intel Neural Compressor")
    assert row_of(technique, report).name == "bad"
    good = measured("good", "torch-inc-int8", "inc", seconds=1, size=250, edits=8)
    report.rows.append(good)
    assert row_of(technique, report) is good


def test_gpu_techniques_need_a_measurement_on_a_gpu(report):
    technique = next(technique for technique in TECHNIQUES if technique.tool == "Triton")
    report.rows.append(measured("packed", "hf-gptq", "gptq", seconds=1, size=250, edits=8))
    assert row_of(technique, report) is None
    on_a_gpu = msgspec.structs.replace(report, settings=msgspec.structs.replace(report.settings, device="cuda"))
    assert row_of(technique, on_a_gpu).name == "packed"


@pytest.mark.parametrize(("device", "count"), [("cpu", 31), ("cuda", 6)])
def test_every_recipe_can_be_exported(device, count):
    recipes = preferred_recipes(device)
    assert recipes[0] == FLOAT
    assert len(recipes) == len(set(recipes)) == count
    for target, method in recipes:
        if method not in TRAINED:
            assert resolve(Request(target=target, method=method)).method == method
