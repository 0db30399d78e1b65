"""A whole benchmark on the toy: what is in the report."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.bench import figures
from qasr.bench.errors import BenchError
from qasr.bench.measure.clips import clips
from qasr.bench.measure.options import Options
from qasr.bench.measure.run import Benchmark
from qasr.bench.results import read_report
from qasr.data import DataError
from qasr.runtimes import OptionError

FEW = {"threads": (1,), "rounds": 2, "min_seconds": 0.0, "min_queries": 1, "batches": (2,)}


def test_report(tone_data, named, tmp_path):
    options = Options(**FEW, scenarios=("single-stream", "multi-stream", "offline"), durations=(None, 0.5))
    seen = []
    benchmark = Benchmark(
        [named("one"), named("two")], tone_data, options, progress=lambda now, visits: seen.append((now, visits))
    )
    report = benchmark.run(["qbench", "one", "two"])
    assert report.baseline == "one"
    assert [row.name for row in report.rows] == ["one", "two"]
    # Interleaved, every other round backwards.
    assert [now for now, _ in seen] == [
        "one, accuracy", "two, accuracy", "one, round 1", "two, round 1", "two, round 2", "one, round 2",
    ]  # fmt: skip
    assert {visits for _, visits in seen} == {6}
    row = report.rows[1]
    assert row.size_bytes == sum(entry.bytes for entry in benchmark._contenders[1].artifact.manifest.files.values())
    assert [visit.round for visit in row.visits] == [0, 1, 2]
    assert [visit.cold for visit in row.visits][1:] == [False, False]
    for visit in row.visits:
        assert visit.peak_device_bytes is None or visit.peak_device_bytes >= 0
        parts = (visit.interpreter_seconds, visit.import_seconds, visit.read_seconds, visit.compile_seconds)
        assert all(0 < part < 60 for part in parts)
        assert visit.load_seconds == pytest.approx(sum(parts) + visit.first_seconds)
    keys = [figures.key(speed) for speed in row.speeds]
    assert keys == [
        (scenario, seconds, 1, 1 if scenario == "single-stream" else 2)
        for seconds in (None, 0.5)
        for scenario in options.scenarios
    ]
    single, joined = row.speeds[0], row.speeds[3]
    assert len(single.queries) == 2 * 5
    assert {query.round for query in single.queries} == {1, 2}
    assert set(single.wall_seconds) == {1, 2}
    assert {query.audio_seconds for query in joined.queries} == {0.5}
    # One letter of twenty is labelled wrong.
    assert row.accuracy.first.rate == report.rows[0].accuracy.first.rate == 1 / 20
    assert row.accuracy.first_delta.value == 0.0
    assert row.accuracy.argmax_agreement == 1.0
    assert row.accuracy.logits_error == 0.0
    assert report.rows[0].accuracy.first_delta is None
    assert report.environment.cores >= 1
    assert 0 <= report.environment.idle_share <= 1
    assert report.data.levels == ["letters"]
    stored = tmp_path / "report.json"
    stored.write_bytes(report.encode())
    assert read_report(stored) == report


def test_all_that_is_wrong_is_said_at_once(tone_data, named, tmp_path):
    with pytest.raises(BenchError, match=r"nothing: no manifest.*; .*missing: no such"):
        (tmp_path / "nothing").mkdir()
        Benchmark([named("one"), tmp_path / "nothing", tmp_path / "missing"], tone_data, Options(**FEW))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenarios": ("singlestream",)}, "no scenario 'singlestream'; there are single-stream, multi-stream"),
        ({"durations": (10.0, -1.0)}, "durations must be above zero, not -1"),
        ({"batches": (0,)}, "batches must be above zero, not 0"),
        ({"rounds": 0}, "rounds must be above zero"),
        ({"threads": ()}, "nothing to measure"),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(BenchError, match=message):
        Options(**(FEW | changes)).check()


def test_more_threads_than_cores():
    with pytest.raises(OptionError, match="threads must lie between 1 and"):
        Options(**(FEW | {"threads": (10_000,)})).check()


def test_levels_must_be_the_baselines(tone_data, named, make_manifest, toy):
    from qasr.artifacts import LevelVocabulary, create

    other = named("other").parent / "else"
    with create(other) as staging:
        (staging.folder / "model.onnx").write_bytes(toy.path("model.onnx").read_bytes())
        staging.publish(make_manifest(levels={"letters": LevelVocabulary(["[PAD]", "x"], 0, [0])}))
    with pytest.raises(BenchError, match="else: not the levels and vocabularies of the baseline one"):
        Benchmark([named("one"), other], tone_data, Options(**FEW))


def test_clips_of_the_set_are_spread_over_its_lengths(tone_data, tmp_path):
    chosen = clips(tone_data, None, 0, tmp_path)
    assert sorted(chosen) == sorted(recording.audio for recording in tone_data.recordings)
    assert chosen == clips(tone_data, None, 0, tmp_path)
    assert chosen != clips(tone_data, None, 1, tmp_path)


def test_joined_clips_have_the_exact_length(tone_data, tmp_path):
    from qasr.audio import read

    one, two = clips(tone_data, 2.5, 0, tmp_path)
    assert read(one).size == read(two).size == 40_000
    assert not np.array_equal(read(one), read(two))
    with pytest.raises(DataError, match="are too little for a clip of 100 s"):
        clips(tone_data, 100.0, 0, tmp_path)
