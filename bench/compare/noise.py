"""Tests whether a figure changed between two runs, or only scatters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Shift:
    """Mean of a figure in the second run minus that in the first."""

    value: float
    error: float
    """Standard error of ``value``."""
    freedom: float
    """Degrees of freedom of ``error``."""

    @property
    def chance(self) -> float:
        """Probability of a shift as large from noise alone (two-sided Student's t)."""
        if self.value == 0 or self.freedom <= 0:
            return 1.0
        return 2 * float(stats.t.sf(abs(self.value) / self.error, self.freedom)) if self.error else 0.0

    def detectable(self, chance: float) -> float:
        """The smallest shift with a probability below ``chance``; infinite if the noise is unknown."""
        return float(stats.t.isf(chance / 2, self.freedom)) * self.error if self.freedom > 0 else float("inf")


def shifts(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> list[Shift]:
    """The shift of one figure for each artifact. ``before`` and ``after`` hold the values by artifact and round.

    A few rounds of one artifact say little about its noise, so the variance is pooled over the artifacts; an artifact's
    own variance is used if it is larger. Values of one round are correlated, because all are relative to the same
    baseline, so pooling adds fewer degrees of freedom than values (Satterthwaite 1946, "An approximate distribution of
    estimates of variance components", with covariances estimated from the values).
    """
    residuals = [np.concatenate([_centred(one), _centred(other)]) for one, other in zip(before, after, strict=True)]
    freedoms = [len(one) + len(other) - 2 for one, other in zip(before, after, strict=True)]
    own = [float(np.square(values).sum()) / max(count, 1) for values, count in zip(residuals, freedoms, strict=True)]
    pooled = float(np.mean(own))
    result = []
    for one, other, variance, freedom in zip(before, after, own, freedoms, strict=True):
        error = (max(variance, pooled) * (1 / len(one) + 1 / len(other))) ** 0.5
        result.append(Shift(float(np.mean(other) - np.mean(one)), error, _freedom(residuals, freedom)))
    return result


def swap_chance(before: Sequence[int], after: Sequence[int]) -> float:
    """Probability of an equally large difference of the sums if each recording's two counts were swapped at random.

    A randomization test of paired differences: their sum is compared with the normal distribution of sums with random
    signs, with a continuity correction for its steps of two, which keeps it above the exact probability of few
    differences.
    """
    differences = np.subtract(after, before)
    total, spread = abs(int(differences.sum())), float(np.square(differences).sum()) ** 0.5
    return min(1.0, 2 * float(stats.norm.sf((total - 1) / spread))) if total else 1.0


def beyond_noise(chances: Sequence[float], significance: float) -> set[int]:
    """Indices of the significant probabilities, with ``significance`` the probability of one false alarm among all.

    Holm 1979, "A simple sequentially rejective multiple test procedure": the smallest of n probabilities is compared
    with significance / n, the next with significance / (n - 1), until one is larger.
    """
    significant: set[int] = set()
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda index: chances[index])):
        if chances[index] > significance / (len(chances) - rank):
            break
        significant.add(index)
    return significant


def _centred(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array -= array.mean()
    return array


def _freedom(residuals: Sequence[NDArray[np.float64]], own: int) -> float:
    """Degrees of freedom of the pooled variance: one artifact's if all are fully correlated, the sum if none are."""
    if len({values.size for values in residuals}) > 1:
        return own
    table = np.stack(residuals)
    covariance = table @ table.T
    squares = float(np.square(covariance).sum())
    return own * float(np.trace(covariance)) ** 2 / squares if squares else own
