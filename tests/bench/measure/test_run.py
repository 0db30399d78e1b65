"""A complete benchmark of the toy artifact, and its report."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.artifacts import read
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
    second = named("two")
    benchmark = Benchmark(
        [named("one"), second], tone_data, options, progress=lambda now, processes: seen.append((now, processes))
    )
    report = benchmark.run(["qbench", "one", "two"])
    assert report.baseline == "one"
    assert [row.name for row in report.rows] == ["one", "two"]
    # Interleaved, every other round backwards.
    assert [now for now, _ in seen] == [
        "one, accuracy", "two, accuracy", "one, round 1", "two, round 1", "two, round 2", "one, round 2",
    ]  # fmt: skip
    assert {processes for _, processes in seen} == {6}
    row = report.rows[1]
    assert row.size_bytes == sum(entry.bytes for entry in read(second).manifest.files.values())
    assert [process.round for process in row.processes] == [0, 1, 2]
    assert [process.cold for process in row.processes][1:] == [False, False]
    for process in row.processes:
        assert process.peak_device_bytes is None or process.peak_device_bytes >= 0
        parts = (process.interpreter_seconds, process.import_seconds, process.read_seconds, process.compile_seconds)
        assert all(0 < part < 60 for part in parts)
        assert process.load_seconds == pytest.approx(sum(parts) + process.first_inference_seconds)
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenarios": ("singlestream",)}, "no scenario 'singlestream'; choose from single-stream, multi-stream"),
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
    with pytest.raises(OptionError, match="threads must be a whole number from 1 to"):
        Options(**(FEW | {"threads": (10_000,)})).check()


def test_clips_of_the_set_are_spread_over_its_lengths(tone_data, tmp_path):
    chosen = clips(tone_data, None, 0, tmp_path)
    assert sorted(chosen) == sorted(recording.audio for recording in tone_data.recordings)
    assert chosen == clips(tone_data, None, 0, tmp_path)
    assert chosen != clips(tone_data, None, 1, tmp_path)


def test_joined_clips_have_the_exact_length(tone_data, tmp_path):
    from qasr import audio

    one, two = clips(tone_data, 2.5, 0, tmp_path)
    assert audio.read(one).size == audio.read(two).size == 40_000
    assert not np.array_equal(audio.read(one), audio.read(two))
    with pytest.raises(DataError, match="too little for a clip of 100 s"):
        clips(tone_data, 100.0, 0, tmp_path)


def test_noise_gives_every_artifact_the_same_second_set(tone_data, named):
    """Error rates and agreement with it stand beside those of the clean set; times are of clean recordings."""
    options = Options(**FEW, scenarios=("single-stream",), noise_db=-20.0)
    report = Benchmark([named("one"), named("two")], tone_data, options).run(["qbench"])
    one, two = report.rows
    assert report.settings.noise_db == -20.0
    assert one.accuracy.first.rate == 1 / 20
    assert one.noisy.first.edits == two.noisy.first.edits
    assert one.noisy.first.rate > 0.3
    assert (two.accuracy.unchanged, two.noisy.unchanged, two.noisy.disagreement) == (1.0, 1.0, 0.0)
    assert (one.accuracy.unchanged, one.noisy.unchanged) == (None, None)
