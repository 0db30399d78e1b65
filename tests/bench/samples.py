"""Reports written by hand, as input of tests."""

from __future__ import annotations

import msgspec

from qasr.bench.results import (
    Accuracy,
    Data,
    Environment,
    Interval,
    LevelErrors,
    ProcessRun,
    Query,
    Report,
    Row,
    Settings,
    Speed,
    Trial,
    Worst,
)

RECORDINGS = 40


def query(number=1, seconds=0.1, audio=2.0, clips=1):
    return Query(
        round=number, clips=clips, audio_seconds=audio, latency_seconds=seconds, features_seconds=0.1 * seconds,
        inference_seconds=0.8 * seconds, decoding_seconds=0.1 * seconds,
    )  # fmt: skip


def speed(times, scenario="single-stream", *, clip_seconds=None, threads=2, batch=1, audio=2.0, trials=()):
    """``times`` are seconds per query, one for each round."""
    queries = [query(number, seconds, audio, batch) for number, seconds in enumerate(times, 1) for _ in range(4)]
    return Speed(
        scenario=scenario, clip_seconds=clip_seconds, threads=threads, batch=batch, queries=queries,
        wall_seconds={number: 4 * seconds for number, seconds in enumerate(times, 1)}, trials=list(trials),
        peak_rss_bytes=200_000_000,
    )  # fmt: skip


def processes(loads, peaks, cold=5.0):
    return [
        ProcessRun(
            round=number, threads=2, cold=number == 0, interpreter_seconds=0.1, import_seconds=0.2, read_seconds=0.05,
            compile_seconds=0.15, first_inference_seconds=seconds - 0.5, peak_rss_bytes=peak, peak_device_bytes=None,
        )
        for number, (seconds, peak) in enumerate(zip([cold, *loads], [peaks[0], *peaks], strict=True))
    ]  # fmt: skip


def accuracy(edits, delta=None, worst=()):
    """``edits`` of the first recordings; ten tokens each. The second level has no errors."""
    counts = [*edits, *[0] * (RECORDINGS - len(edits))]
    interval = None if delta is None else Interval(value=delta, low=delta - 0.002, high=delta + 0.002)
    return Accuracy(
        levels={
            "phonemes": LevelErrors(edits=counts, lengths=[10] * RECORDINGS),
            "ghonna": LevelErrors(edits=[0] * RECORDINGS, lengths=[5] * RECORDINGS),
        },
        first_delta=interval, mean_delta=interval, disagreement=0.01, unchanged=0.975, argmax_agreement=0.998,
        logits_error=0.02, worst=list(worst),
    )  # fmt: skip


def baseline_accuracy(edits):
    """Compared with nothing."""
    return msgspec.structs.replace(accuracy(edits), disagreement=None, unchanged=None, argmax_agreement=None)


def row(name, times=(0.1, 0.1, 0.1), **changes):
    given = {
        "name": name, "folder": name, "digest": name, "target": "onnx-fp32", "method": None, "engine": "onnx",
        "source": "reference", "parameters": 3_500_000, "size_bytes": 10_000_000,
        "processes": processes([1.0] * len(times), [200_000_000] * len(times)), "speeds": [speed(times)],
        "accuracy": accuracy([1, 1]),
    }  # fmt: skip
    return Row(**(given | changes))


def report(rows, **changes):
    given = {
        "qasr_version": "0.2", "started": "2026-11-23T10:00:00+00:00", "wall_seconds": 60.0,
        "command": ["qbench", "out/a b", "--report", "r"],
        "environment": Environment(
            processor="Some CPU", cores=2, flags=["avx2"], governor=None, memory_bytes=24_000_000_000, system="Linux",
            python="3.11", libraries={"onnxruntime": "1.32"}, variables={}, gpus=[], load_average=0.1, idle_share=0.99,
        ),
        "settings": Settings(
            scenarios=["single-stream"], durations=[None], threads=[2], batches=[8], rounds=3, min_seconds=1.0,
            min_queries=4, timeout_seconds=60.0, device="cpu", latency_bound_seconds=1.0, seed=0,
        ),
        "data": Data(
            name="set", sha256="0" * 64, recordings=[f"{number}.wav" for number in range(RECORDINGS)],
            seconds=[1.0 + number / 10 for number in range(RECORDINGS)], levels=["phonemes", "ghonna"],
        ),
        "baseline": rows[0].name, "rows": rows,
    }  # fmt: skip
    return Report(**(given | changes))


def full_report():
    """A report with all features: scenarios, clip lengths, threads, a failure, worst recordings, hostile names."""
    trials = [
        Trial(round=number, rate_hz=rate, queries=9, latency_seconds=0.4, within_bound=rate < 20)
        for number in (1, 2, 3)
        for rate in (10.0, 15.0, 20.0)
    ]

    def speeds(factor):
        return [
            speed([0.1 * factor] * 3),
            speed([0.6 * factor] * 3, "offline", batch=8, audio=16.0),
            speed([0.2 * factor] * 3, "server", batch=8, trials=trials),
            speed([0.5 * factor] * 3, clip_seconds=10.0, audio=10.0),
            speed([1.8 * factor] * 3, clip_seconds=30.0, audio=30.0),
            speed([0.9 * factor] * 3, clip_seconds=10.0, audio=10.0, threads=1),
        ]

    worst = Worst(
        recording="3.wav", level="phonemes", edits=2, baseline_edits=1, reference=["ب", "ِ", "س", ""],
        baseline=["ب", "ِ", "ص", ""], candidate=["ب", "", "س", "[شديد]"],
    )  # fmt: skip
    return report(
        [
            row("fp32", speeds=speeds(1.0), accuracy=baseline_accuracy([1, 1])),
            row(
                "int8", speeds=speeds(0.5), size_bytes=3_000_000, target="openvino-int8", method="static",
                engine="openvino", accuracy=accuracy([1, 2, 1], 0.005, [worst]), noisy=accuracy([9, 8, 7], 0.03),
            ),
            row("<b>&fast", speeds=speeds(0.7), size_bytes=4_000_000, accuracy=accuracy([1, 1], 0.0)),
            row("gone", failure="killed by SIGSEGV: <oops>", processes=[], speeds=[], accuracy=None),
        ]
    )  # fmt: skip


def noisy_report():
    """The same with error rates at 10 dB."""
    quiet = full_report()
    return msgspec.structs.replace(quiet, settings=msgspec.structs.replace(quiet.settings, noise_db=10.0))
