"""The clips that speed is measured on: recordings of the evaluation set, or pieces of them joined to a length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from ...audio import SAMPLE_RATE, read
from ...data import DataError, LabelledSet

# Enough lengths to stand for the set, few enough for several rounds of many artifacts.
_RECORDINGS = 24
# Different clips of one length: a single one could be a lucky one for a cache.
_JOINED = 2


def clips(data: LabelledSet, seconds: float | None, seed: int, scratch: Path) -> list[Path]:
    """Audio files to measure with; the same for the same data and seed.

    Without ``seconds`` up to 24 recordings, evenly spread over the lengths of the set, in random order. With it, two
    clips of exactly that length, joined from the recordings in random order. Raises DataError where the set is too
    short for that.
    """
    rng = np.random.default_rng(seed)
    if seconds is None:
        ranked = sorted(data.recordings, key=lambda recording: (recording.seconds, recording.name))
        count = min(_RECORDINGS, len(ranked))
        chosen = [ranked[place * len(ranked) // count] for place in range(count)]
        return [chosen[place].audio for place in rng.permutation(count)]
    if data.seconds < seconds:
        raise DataError(f"{data.name}: {data.seconds:.1f} s of audio in all are too little for a clip of {seconds:g} s")
    return [_join(data, seconds, rng, scratch / f"{seconds:g}s-{number}.wav") for number in range(_JOINED)]


def _join(data: LabelledSet, seconds: float, rng: np.random.Generator, path: Path) -> Path:
    wanted = round(seconds * SAMPLE_RATE)
    parts: list[np.ndarray] = []
    for place in rng.permutation(len(data.recordings)):
        parts.append(read(data.recordings[place].audio))
        wanted -= parts[-1].size
        if wanted <= 0:
            break
    # Files of a folder may have changed since their durations were read; the length has to be exact all the same.
    joined = np.resize(np.concatenate(parts), round(seconds * SAMPLE_RATE))
    soundfile.write(path, joined, SAMPLE_RATE, subtype="FLOAT")
    return path
