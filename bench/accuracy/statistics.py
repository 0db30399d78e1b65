"""Confidence intervals of differences of error rates on the same recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..results import Interval, LevelErrors

RESAMPLES = 4_000
_PERCENTILES = (2.5, 97.5)


def bootstrap_delta(candidate: Sequence[LevelErrors], baseline: Sequence[LevelErrors], seed: int) -> Interval:
    """Mean over levels of the candidate's error rate minus the baseline's, with its 95 % interval.

    Paired bootstrap (Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation"): recordings are drawn with replacement, the same ones for both candidates and for all levels, and the
    interval consists of percentiles of the differences. A recording without tokens in a level has no weight there.
    """
    drawn = draws(len(candidate[0].edits), seed)
    differences = np.zeros(RESAMPLES)
    value = 0.0
    for own, other in zip(candidate, baseline, strict=True):
        edits = np.array(own.edits) - np.array(other.edits)
        lengths = np.array(own.lengths)
        differences += (drawn @ edits) / np.maximum(drawn @ lengths, 1) / len(candidate)
        value += float(edits.sum() / max(lengths.sum(), 1)) / len(candidate)
    return interval(value, differences)


def draws(count: int, seed: int) -> NDArray[np.int64]:
    """How often each of ``count`` recordings is drawn with replacement: (RESAMPLES, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    """The estimate with the middle 95 % of its resampled values."""
    low, high = np.percentile(resampled, _PERCENTILES)
    return Interval(value=value, low=float(low), high=float(high))
