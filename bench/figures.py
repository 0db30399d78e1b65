"""The figures of a row, computed from its raw samples; the only formulas for tables, plots and limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

import numpy as np

from .results import Key, Query, Row, Speed


def rtf(queries: Sequence[Query]) -> float:
    """Real-time factor: Σ compute seconds / Σ audio seconds. Includes features and decoding, not queueing."""
    return sum(query.compute_seconds for query in queries) / sum(query.audio_seconds for query in queries)


def rtfx(queries: Sequence[Query]) -> float:
    """Inverse real-time factor: Σ audio seconds / Σ compute seconds."""
    return 1.0 / rtf(queries)


def shares(queries: Sequence[Query]) -> dict[str, float]:
    """Seconds of features, inference and decoding, each per second of audio."""
    audio = sum(query.audio_seconds for query in queries)
    return {
        "features": sum(query.features_seconds for query in queries) / audio,
        "inference": sum(query.inference_seconds for query in queries) / audio,
        "decoding": sum(query.decoding_seconds for query in queries) / audio,
    }


def latency(speed: Speed, percentile: float) -> float:
    """Latency in seconds that ``percentile`` % of the queries did not exceed (nearest rank, as in MLPerf)."""
    latencies = [query.latency_seconds for query in speed.queries]
    return float(np.percentile(latencies, percentile, method="inverted_cdf"))


def throughput(speed: Speed) -> float:
    """Samples (clips) per second of wall time, over all rounds."""
    return sum(query.clips for query in speed.queries) / sum(speed.wall_seconds.values())


def throughput_rtfx(speed: Speed) -> float:
    """Seconds of audio per second of wall time, over all rounds."""
    return sum(query.audio_seconds for query in speed.queries) / sum(speed.wall_seconds.values())


def sustained_rate(speed: Speed) -> float | None:
    """Highest arrival rate within the latency bound, in queries per second: median over the rounds."""
    best: dict[int, float] = defaultdict(float)
    for trial in speed.trials:
        best[trial.round] = max(best[trial.round], trial.rate_hz if trial.within_bound else 0.0)
    return median(best.values()) if best else None


def rounds(speed: Speed) -> dict[int, list[Query]]:
    """The queries of each round."""
    by_round: dict[int, list[Query]] = defaultdict(list)
    for query in speed.queries:
        by_round[query.round].append(query)
    return dict(by_round)


def relative_time(speed: Speed, baseline: Speed) -> float:
    """Compute time over the baseline's for the same audio: median of the ratios within rounds."""
    return median(relative_times(speed, baseline))


def relative_times(speed: Speed, baseline: Speed) -> list[float]:
    """The ratio within each round that both were measured in."""
    own, other = rounds(speed), rounds(baseline)
    return [rtf(own[number]) / rtf(other[number]) for number in own if number in other]


def find(row: Row, like: Speed) -> Speed | None:
    """The row's measurement of the same scenario, clip length, thread count and batch."""
    return next((speed for speed in row.speeds if key(speed) == key(like)), None)


def key(speed: Speed) -> Key:
    """Measurements with equal keys are comparable."""
    return Key(speed.scenario, speed.clip_seconds, speed.threads, speed.batch)


def main_speed(row: Row, scenario: str = "single-stream") -> Speed | None:
    """The measurement that summaries show: the first one of ``scenario``, else the row's first."""
    return next((speed for speed in row.speeds if speed.scenario == scenario), next(iter(row.speeds), None))


def warm_load_seconds(row: Row) -> float:
    """Median over the rounds, from the start of a process to its first transcript, in seconds; nan without rounds."""
    warm = [process.load_seconds for process in row.processes if process.round]
    return median(warm) if warm else float("nan")


def cold_load_seconds(row: Row) -> float | None:
    """Load time with empty caches; None if the files could not be evicted from the page cache."""
    cold = [process.load_seconds for process in row.processes if process.cold]
    return median(cold) if cold else None


def peak_rss_bytes(row: Row) -> int:
    """Median over the processes that measured speed, or over all if none did."""
    return round(median([process.peak_rss_bytes for process in row.processes if process.round] or _all_peaks(row)))


def peak_device_bytes(row: Row) -> int | None:
    """Largest use of GPU memory over all processes; None without a GPU."""
    peaks = [process.peak_device_bytes for process in row.processes if process.peak_device_bytes is not None]
    return max(peaks) if peaks else None


def _all_peaks(row: Row) -> list[int]:
    return [process.peak_rss_bytes for process in row.processes]
