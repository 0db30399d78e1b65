"""The clips for speed: recordings of the evaluation set, or recordings joined and cut to an exact length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from ...audio import SAMPLE_RATE, read
from ...data import DataError, LabelledSet

# Enough to represent the set's lengths, few enough for several rounds of many artifacts.
_RECORDINGS = 24
# More than one clip of a length, because a cache may favour a single clip.
_JOINED = 2


def clips(data: LabelledSet, seconds: float | None, seed: int, scratch: Path) -> list[Path]:
    """Audio files to measure with; equal data and seed give equal clips.

    Without ``seconds``: up to 24 recordings in random order, evenly spread over the lengths of the set. With
    ``seconds``: two clips of exactly that length, joined from recordings in random order. Raises DataError if the whole
    set is shorter than that.
    """
    rng = np.random.default_rng(seed)
    if seconds is None:
        ranked = sorted(data.recordings, key=lambda recording: (recording.seconds, recording.name))
        count = min(_RECORDINGS, len(ranked))
        chosen = [ranked[index * len(ranked) // count] for index in range(count)]
        return [chosen[index].audio for index in rng.permutation(count)]
    if data.seconds < seconds:
        raise DataError(f"{data.name}: {data.seconds:.1f} s of audio in total, too little for a clip of {seconds:g} s")
    return [_join(data, seconds, rng, scratch / f"{seconds:g}s-{number}.wav") for number in range(_JOINED)]


def _join(data: LabelledSet, seconds: float, rng: np.random.Generator, path: Path) -> Path:
    missing = round(seconds * SAMPLE_RATE)
    parts: list[np.ndarray] = []
    for index in rng.permutation(len(data.recordings)):
        parts.append(read(data.recordings[index].audio))
        missing -= parts[-1].size
        if missing <= 0:
            break
    # The files may have become shorter since their durations were read, and the length must be exact.
    joined = np.resize(np.concatenate(parts), round(seconds * SAMPLE_RATE))
    soundfile.write(path, joined, SAMPLE_RATE, subtype="FLOAT")
    return path
