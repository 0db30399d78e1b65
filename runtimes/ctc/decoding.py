"""Greedy CTC decoding of all levels and frames at once (Graves et al. 2006: best path, repeats merged, no blanks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...artifacts import LevelVocabulary
from ..engine import Floats
from ..errors import InferenceError

Vocabularies = Mapping[str, LevelVocabulary]


@dataclass(frozen=True)
class Frames:
    """What decoding needs of a stretch of logits: 6 bytes a level and frame instead of 4 a token.

    ``best`` (levels, frames) int16 ids, ``confidence`` (levels, frames) float32 their probability, ``blank`` (frames,)
    float32 the log-probability that every level is blank, by which windows are joined.
    """

    best: NDArray[np.int16]
    confidence: Floats
    blank: Floats

    def __len__(self) -> int:
        return int(self.best.shape[1])

    def part(self, start: int, stop: int) -> Frames:
        """Frames from ``start`` up to ``stop``."""
        return Frames(self.best[:, start:stop], self.confidence[:, start:stop], self.blank[start:stop])


@dataclass(frozen=True)
class Runs:
    """Decoded tokens of one level: ids, first frame, frame after the last, and mean probability over their frames."""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    confidence: Floats


def reduce_logits(logits: Mapping[str, Floats], clip: int, length: int, vocabularies: Vocabularies) -> Frames:
    """The first ``length`` frames of one clip of logits (B, T, V) per level. InferenceError where not finite."""
    best = np.empty((len(vocabularies), length), dtype=np.int16)
    confidence = np.empty((len(vocabularies), length), dtype=np.float32)
    blank = np.zeros(length, dtype=np.float32)
    for row, (level, vocabulary) in enumerate(vocabularies.items()):
        values = logits[level][clip, :length]
        if values.shape != (length, len(vocabulary.tokens)):
            raise InferenceError(
                f"the engine gave {values.shape} logits for {level} where {(length, len(vocabulary.tokens))} are due; "
                "the model file is not the one of this manifest"
            )
        if not np.isfinite(values).all():
            raise InferenceError(
                f"the engine gave logits for {level} that are no numbers; the artifact or device is at fault"
            )
        top = values.max(axis=-1)
        total = np.exp(values - top[:, None]).sum(axis=-1)
        best[row] = values.argmax(axis=-1)
        confidence[row] = 1.0 / total
        blank += values[:, vocabulary.blank] - top - np.log(total)
    return Frames(best, confidence, blank)


def collapse(best: NDArray[np.int16], confidence: Floats, blank: int) -> Runs:
    """Merge repeats and drop blanks of one level's best path (frames,)."""
    if best.size == 0:
        none = np.empty(0, dtype=np.int64)
        return Runs(none, none, none, np.empty(0, dtype=np.float32))
    starts = np.flatnonzero(np.concatenate(([True], best[1:] != best[:-1])))
    stops = np.append(starts[1:], best.size)
    means = np.add.reduceat(confidence, starts) / (stops - starts)
    kept = best[starts] != blank
    return Runs(best[starts][kept].astype(np.int64), starts[kept], stops[kept], means[kept].astype(np.float32))
