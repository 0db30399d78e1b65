"""Whether a figure that was measured in several rounds changed between two runs, or only scatters."""

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
    """Its standard error."""
    freedom: float
    """Degrees of freedom of the error."""

    @property
    def chance(self) -> float:
        """Probability of a shift as large from noise alone (Student's t, two sides)."""
        if self.value == 0 or self.freedom <= 0:
            return 1.0
        return 2 * float(stats.t.sf(abs(self.value) / self.error, self.freedom)) if self.error else 0.0

    def visible(self, chance: float) -> float:
        """The smallest shift whose chance would be below ``chance``; infinite where nothing is known of the noise."""
        return float(stats.t.isf(chance / 2, self.freedom)) * self.error if self.freedom > 0 else float("inf")


def shifts(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> list[Shift]:
    """The shift of one figure for each artifact; ``before`` and ``after`` hold its values by artifact and round.

    Few rounds of one artifact tell little of its noise, so the variance is pooled over the artifacts; where an
    artifact's own is larger, that counts. Values of one round scatter together, because a baseline is in all of them:
    pooling adds less certainty than it adds values, which the degrees of freedom allow for (Satterthwaite 1946,
    "An approximate distribution of estimates of variance components", with the covariances estimated from the values).
    """
    residuals = [np.concatenate([_centred(one), _centred(other)]) for one, other in zip(before, after, strict=True)]
    freedoms = [len(one) + len(other) - 2 for one, other in zip(before, after, strict=True)]
    own = [float(np.square(values).sum()) / max(count, 1) for values, count in zip(residuals, freedoms, strict=True)]
    pooled = float(np.mean(own))
    found = []
    for one, other, variance, freedom in zip(before, after, own, freedoms, strict=True):
        error = (max(variance, pooled) * (1 / len(one) + 1 / len(other))) ** 0.5
        found.append(Shift(float(np.mean(other) - np.mean(one)), error, _freedom(residuals, freedom)))
    return found


def swap_chance(before: Sequence[int], after: Sequence[int]) -> float:
    """Probability of a difference of the sums as large, had each recording's two counts been swapped by chance.

    The randomization test of paired differences: their sum is held against the normal distribution of sums with random
    signs, with a correction for its steps of two, which keeps it above the exact probability of a few differences.
    """
    differences = np.subtract(after, before)
    total, spread = abs(int(differences.sum())), float(np.square(differences).sum()) ** 0.5
    return min(1.0, 2 * float(stats.norm.sf((total - 1) / spread))) if total else 1.0


def beyond_noise(chances: Sequence[float], significance: float) -> set[int]:
    """Places of the chances that hold when the probability of one false alarm among all shall be ``significance``.

    Holm 1979, "A simple sequentially rejective multiple test procedure": the smallest of n chances is held against
    significance / n, the next against significance / (n - 1), until one fails.
    """
    found: set[int] = set()
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        if chances[place] > significance / (len(chances) - rank):
            break
        found.add(place)
    return found


def _centred(values: Sequence[float]) -> NDArray[np.float64]:
    found = np.array(values, dtype=np.float64)
    found -= found.mean()
    return found


def _freedom(residuals: Sequence[NDArray[np.float64]], own: int) -> float:
    """Those of the pooled variance: one artifact's where all artifacts move together, all of theirs where none do."""
    if len({values.size for values in residuals}) > 1:
        return own
    table = np.stack(residuals)
    covariance = table @ table.T
    squares = float(np.square(covariance).sum())
    return own * float(np.trace(covariance)) ** 2 / squares if squares else own
