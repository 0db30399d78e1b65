"""Whole recordings as a model's input."""

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
    """Input frames (frames, …) of one recording, mono float32 at 16 kHz.

    An incomplete last frame is left out: extractors pad it and mask it, so it never counts. Raises AudioError if the
    recording is too short for the model.
    """
    front_end.check_length(samples.size)
    return front_end.stack(front_end.normalize(np.concatenate(list(front_end.raw(iter([samples]))))))


def clip_inputs(source: Path | str, front_end: FrontEnd, max_seconds: float | None = None) -> Floats:
    """Input frames (frames, …) of a file, or of its first ``max_seconds`` seconds.

    Raises AudioError, which names the file, if it cannot be read or is too short.
    """
    samples = read(source)
    try:
        return extract(samples[: None if max_seconds is None else round(max_seconds * SAMPLE_RATE)], front_end)
    except AudioError as error:
        raise error.named(str(source)) from None


def batch(inputs: Sequence[Floats], front_end: FrontEnd) -> tuple[Floats, NDArray[np.int64]]:
    """Pad recordings on the right to one batch (B, T, …), and return it with their lengths (B,) in frames."""
    lengths = np.array([len(one) for one in inputs], dtype=np.int64)
    shape = front_end.shape(len(inputs), int(lengths.max()))
    padded = np.full(shape, front_end.padding_value, dtype=np.float32)
    for row, one in zip(padded, inputs, strict=True):
        row[: len(one)] = one
    return padded, lengths
