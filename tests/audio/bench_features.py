"""Time of feature extraction, ours against transformers', interleaved: ``python tests/audio/bench_features.py``."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from statistics import median

import numpy as np
from transformers import SeamlessM4TFeatureExtractor

from qasr.audio import LogMel, extract


def main() -> None:
    theirs = SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1)
    settings = LogMel(padding_value=1.0)
    for seconds in (5, 10, 30):
        waveform = (0.1 * np.random.default_rng(0).standard_normal(16_000 * seconds)).astype(np.float32)
        times: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(15):
            started = time.perf_counter()
            theirs(waveform, sampling_rate=16_000, return_tensors="np")
            times["theirs"].append(time.perf_counter() - started)
            started = time.perf_counter()
            extract(waveform, settings)
            times["ours"].append(time.perf_counter() - started)
        ratio = median(a / b for a, b in zip(times["theirs"], times["ours"], strict=True))
        theirs_ms, ours_ms = (1e3 * median(times[name]) for name in ("theirs", "ours"))
        print(f"{seconds:3d} s: {theirs_ms:6.1f} ms against {ours_ms:5.1f} ms, {ratio:.1f} x")


if __name__ == "__main__":
    main()
