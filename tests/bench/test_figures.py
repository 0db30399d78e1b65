"""Every figure, compared with a value computed by hand."""

from __future__ import annotations

import pytest

from qasr.bench import figures
from qasr.bench.results import ProcessRun, Query, Row, Speed, Trial


def query(number=1, audio=2.0, latency=0.5, features=0.1, inference=0.2, decoding=0.05, clips=1):
    return Query(
        round=number, clips=clips, audio_seconds=audio, latency_seconds=latency,
        features_seconds=features, inference_seconds=inference, decoding_seconds=decoding,
    )  # fmt: skip


def speed(queries, wall=None, **changes):
    given = {
        "scenario": "single-stream", "clip_seconds": None, "threads": 2, "batch": 1, "queries": queries,
        "wall_seconds": wall or {1: 1.0}, "peak_rss_bytes": 0,
    }  # fmt: skip
    return Speed(**(given | changes))


def process(number, *, cold=False, first=0.5, peak=100, device=None):
    return ProcessRun(
        round=number, threads=1, cold=cold, interpreter_seconds=0.1, import_seconds=0.2, read_seconds=0.3,
        compile_seconds=0.4, first_inference_seconds=first, peak_rss_bytes=peak, peak_device_bytes=device,
    )  # fmt: skip


def row(**changes):
    given = {
        "name": "a", "folder": "a", "digest": "", "target": "t", "method": None, "engine": "onnx", "source": "s",
        "parameters": 1, "size_bytes": 1,
    }  # fmt: skip
    return Row(**(given | changes))


def test_rtf_is_compute_time_over_audio():
    queries = [query(), query(audio=6.0, features=0.3, inference=0.6, decoding=0.15)]
    assert figures.rtf(queries) == pytest.approx(1.4 / 8.0)
    assert figures.rtfx(queries) == pytest.approx(8.0 / 1.4)
    assert figures.shares(queries) == pytest.approx({"features": 0.05, "inference": 0.1, "decoding": 0.025})


def test_latency_is_the_nearest_rank():
    hundred = speed([query(latency=rank / 100) for rank in range(1, 101)])
    assert [figures.latency(hundred, percent) for percent in (50, 90, 99)] == [0.5, 0.9, 0.99]
    assert figures.latency(speed([query(latency=0.3)]), 99) == 0.3
    # 99 % of ten are more than nine of them.
    assert figures.latency(speed([query(latency=rank / 10) for rank in range(1, 11)]), 99) == 1.0


def test_throughput_is_over_wall_time():
    measured = speed([query(1, clips=8, audio=16.0), query(2, clips=8, audio=16.0)], {1: 1.5, 2: 2.5})
    assert figures.throughput(measured) == 16 / 4
    assert figures.throughput_rtfx(measured) == 32 / 4


def test_relative_time_is_the_median_ratio_within_rounds():
    """The machine is ten times slower in round 2, for both."""
    slow = speed([query(1, inference=0.45), query(2, inference=5.85), query(3, inference=0.6)])
    base = speed([query(1, inference=0.15), query(2, inference=2.85), query(3, inference=0.1)])
    # 0.6/0.3, 6/3, 0.75/0.25
    assert figures.relative_time(slow, base) == pytest.approx(2.0)


def test_sustained_rate_is_the_median_over_rounds():
    def trial(number, rate, holds):
        return Trial(round=number, rate_hz=rate, queries=9, latency_seconds=0.1, within_bound=holds)

    trials = [trial(1, 10, True), trial(1, 20, True), trial(1, 30, False), trial(2, 10, False), trial(3, 12, True)]
    assert figures.sustained_rate(speed([], trials=trials)) == 12
    assert figures.sustained_rate(speed([])) is None


def test_load_times():
    processes = [process(0, cold=True, first=3.0), process(1, first=0.5), process(2, first=0.7), process(3, first=9.0)]
    measured = row(processes=processes)
    assert figures.warm_load_seconds(measured) == pytest.approx(1.7)
    assert figures.cold_load_seconds(measured) == pytest.approx(4.0)
    assert figures.cold_load_seconds(row(processes=processes[1:])) is None


def test_peaks():
    processes = [
        process(0, peak=900),
        process(1, peak=100, device=5),
        process(2, peak=300, device=7),
        process(3, peak=200),
    ]
    assert figures.peak_rss_bytes(row(processes=processes)) == 200
    assert figures.peak_rss_bytes(row(processes=processes[:1])) == 900
    assert figures.peak_device_bytes(row(processes=processes)) == 7
    assert figures.peak_device_bytes(row(processes=processes[:1])) is None


def test_comparable_measurements():
    one, other = speed([query()]), speed([query()], batch=8, scenario="offline")
    measured = row(speeds=[other, one])
    assert figures.find(measured, speed([])) is one
    assert figures.find(measured, speed([], threads=1)) is None
    assert figures.main_speed(measured) is one
    assert figures.main_speed(measured, "offline") is other
    assert figures.main_speed(row(speeds=[other])) is other
    assert figures.main_speed(row()) is None
