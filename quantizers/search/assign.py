"""Which format each unit gets: an integer program, and the frontier of all budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from ...quiet import quiet

Table = NDArray[np.float64]
"""(units, formats)."""

_POINTS = 40
# Weight of the total time beside the main objective: it only breaks ties.
_TIE = 1e-6
# Relative distance from the proven best at which HiGHS may stop.
_GAP = 1e-5
_SECONDS = 10.0


@dataclass(frozen=True)
class Choice:
    """A format for each unit, by its column in the tables."""

    formats: tuple[int, ...]
    loss: float
    """Sum of the units' losses."""
    bytes: int
    """Sum of the units' bytes."""
    seconds: float


@dataclass(frozen=True)
class Problem:
    """Tables (units, formats) of the loss, the bytes and the time of each unit in each format."""

    losses: Table
    bytes: Table
    seconds: Table

    def choice(self, formats: Sequence[int]) -> Choice:
        """The sums of an assignment."""
        rows = np.arange(len(formats))
        loss, size, seconds = (
            float(table[rows, list(formats)].sum()) for table in (self.losses, self.bytes, self.seconds)
        )
        return Choice(tuple(formats), loss, round(size), seconds)


def smallest(problem: Problem, loss: float) -> Choice | None:
    """The fewest bytes with a total loss of at most ``loss``, the fastest of those; None where nothing fits."""
    return _solve(problem, problem.bytes, problem.losses, loss)


def most_accurate(problem: Problem, bytes: float) -> Choice | None:
    """The least loss within ``bytes``, the fastest of those; None where nothing fits."""
    return _solve(problem, problem.losses, problem.bytes, bytes)


def frontier(problem: Problem) -> list[Choice]:
    """The Pareto-optimal choices in bytes and loss, the largest first."""
    least, most = problem.bytes.min(axis=1).sum(), problem.bytes.max(axis=1).sum()
    choices = [most_accurate(problem, budget) for budget in np.linspace(most, least, _POINTS)]
    optimal: list[Choice] = []
    for choice in choices:
        if choice is None or (optimal and choice.formats == optimal[-1].formats):
            continue
        if optimal and choice.loss <= optimal[-1].loss:
            optimal.pop()
        optimal.append(choice)
    return optimal


def _solve(problem: Problem, objective: Table, limited: Table, limit: float) -> Choice | None:
    units, formats = objective.shape
    largest = limited.max() or 1.0
    one_each = LinearConstraint(np.kron(np.eye(units), np.ones(formats)), 1, 1)
    # Scaled, because the solver's tolerances are absolute.
    within = LinearConstraint(limited.reshape(1, -1) / largest, -np.inf, limit / largest * (1 + 1e-9))
    scaled = objective / (objective.max() or 1.0) + _TIE * problem.seconds / (problem.seconds.max() or 1.0)
    # HiGHS prints from native code whatever its options are, and stdout is for results.
    with quiet(stdout=True):
        solved = milp(
            scaled.reshape(-1),
            constraints=[one_each, within],
            integrality=np.ones(units * formats),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": _GAP, "time_limit": _SECONDS},
        )
    if solved.x is None:
        return None
    return problem.choice([int(column) for column in solved.x.reshape(units, formats).argmax(axis=1)])
