"""Recordings as a model's input: normalized raw frames of each, and the padded batch of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .decode import read
from .errors import AudioError
from .frontends import Floats, FrontEnd
from .rate import SAMPLE_RATE


def extract(samples: Floats, front_end: FrontEnd) -> Floats:
    """Normalized raw frames (n, …) of one recording, mono float32 at 16 kHz.

    Raises AudioError if the recording is too short for the model.
    """
    front_end.check_length(samples.size)
    return front_end.normalize(np.concatenate(list(front_end.raw(iter([samples])))))


def clip_inputs(source: Path | str, front_end: FrontEnd, max_seconds: float | None = None) -> Floats:
    """Normalized raw frames (n, …) of a file, or of its first ``max_seconds`` seconds.

    Raises AudioError, which names the file, if it cannot be read or is too short.
    """
    samples = read(source)
    try:
        return extract(samples[: None if max_seconds is None else round(max_seconds * SAMPLE_RATE)], front_end)
    except AudioError as error:
        raise error.named(str(source)) from None


def batch(recordings: Sequence[Floats], front_end: FrontEnd) -> tuple[Floats, NDArray[np.int64]]:
    """Input frames (B, T, …) of recordings, given as normalized raw frames (n, …), padded on the right.

    Returned with the recordings' lengths (B,) in raw frames.
    """
    lengths = np.array([len(one) for one in recordings], dtype=np.int64)
    frames = int(front_end.frames(lengths).max())
    raw = (len(recordings), frames * front_end.raw_per_frame, *recordings[0].shape[1:])
    padded = np.full(raw, front_end.padding_value, dtype=np.float32)
    for row, one in zip(padded, recordings, strict=True):
        row[: len(one)] = one[: len(row)]
    return padded.reshape(front_end.shape(len(recordings), frames)), lengths
