"""Greedy CTC decoding of all levels and frames at once (Graves et al. 2006: best path, repeats merged, no blanks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...artifacts import LevelVocabulary
from ...audio import Floats
from ..errors import InferenceError

Vocabularies = Mapping[str, LevelVocabulary]


@dataclass(frozen=True)
class Frames:
    """A stretch of logits reduced to what decoding needs: 8 bytes for each level and frame, not 4 for each token."""

    best: NDArray[np.int32]
    """(levels, frames): id of the most likely token."""
    confidence: Floats
    """(levels, frames): its probability."""
    blank: Floats
    """(frames,): log-probability that every level is blank, by which windows are joined."""

    def __len__(self) -> int:
        return int(self.best.shape[1])

    def part(self, start: int, stop: int) -> Frames:
        """Frames from ``start`` to ``stop``, without ``stop``."""
        return Frames(self.best[:, start:stop], self.confidence[:, start:stop], self.blank[start:stop])


@dataclass(frozen=True)
class Runs:
    """Decoded tokens of one level, each array of shape (tokens,)."""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    """First frame."""
    stops: NDArray[np.int64]
    """Frame after the last."""
    confidence: Floats
    """Mean probability over the token's frames."""


def reduce_logits(logits: Mapping[str, Floats], clip: int, length: int, vocabularies: Vocabularies) -> Frames:
    """The first ``length`` frames of one clip of logits (B, T, V) by level.

    Raises InferenceError for logits that are not finite, and for other shapes.
    """
    best = np.empty((len(vocabularies), length), dtype=np.int32)
    confidence = np.empty((len(vocabularies), length), dtype=np.float32)
    blank = np.zeros(length, dtype=np.float32)
    for row, (level, vocabulary) in enumerate(vocabularies.items()):
        values = logits[level][clip, :length]
        if values.shape != (length, len(vocabulary.tokens)):
            raise InferenceError(
                f"the engine returned {values.shape} logits for {level}, not {(length, len(vocabulary.tokens))}; "
                "the model file does not belong to this manifest"
            )
        if not np.isfinite(values).all():
            raise InferenceError(
                f"the engine returned logits for {level} that are not finite; the artifact or the device is faulty"
            )
        top = values.max(axis=-1)
        total = np.exp(values - top[:, None]).sum(axis=-1)
        best[row] = values.argmax(axis=-1)
        confidence[row] = 1.0 / total
        blank += values[:, vocabulary.blank] - top - np.log(total)
    return Frames(best, confidence, blank)


def without(frames: Frames, kept: NDArray[np.bool_], vocabularies: Vocabularies) -> Frames:
    """``frames`` with blanks in every level where not ``kept`` (frames,)."""
    blanks = np.array([vocabulary.blank for vocabulary in vocabularies.values()], dtype=np.int32)
    return Frames(
        np.where(kept, frames.best, blanks[:, None]),
        np.where(kept, frames.confidence, np.float32(1.0)),
        np.where(kept, frames.blank, np.float32(0.0)),
    )


def collapse(best: NDArray[np.int32], confidence: Floats, blank: int) -> Runs:
    """Merge repeated tokens and drop blanks of one level's best path (frames,)."""
    if best.size == 0:
        empty = np.empty(0, dtype=np.int64)
        return Runs(empty, empty, empty, np.empty(0, dtype=np.float32))
    starts = np.flatnonzero(np.concatenate(([True], best[1:] != best[:-1])))
    stops = np.append(starts[1:], best.size)
    means = np.add.reduceat(confidence, starts) / (stops - starts)
    kept = best[starts] != blank
    return Runs(best[starts][kept].astype(np.int64), starts[kept], stops[kept], means[kept].astype(np.float32))
