"""Which format each unit gets: an integer program, and the frontier of all budgets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

Table = NDArray[np.float64]
"""(units, formats)."""

_POINTS = 40
# What the whole time counts beside the main objective: it only breaks ties.
_TIE = 1e-6
# HiGHS stops at a solution proven to be so near the best.
_GAP = 1e-5
_SECONDS = 10.0


@dataclass(frozen=True)
class Choice:
    """A format for each unit, by its place in the table."""

    formats: tuple[int, ...]
    loss: float
    """Sum of the units' losses."""
    bytes: int
    """Sum of the units' bytes."""
    seconds: float


@dataclass(frozen=True)
class Problem:
    """Tables (units, formats) of what each unit loses, takes and lasts in each format."""

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
    """The fewest bytes whose losses sum up to no more than ``loss``; the fastest of those. None where there is none."""
    return _solve(problem, problem.bytes, problem.losses, loss)


def most_accurate(problem: Problem, bytes: float) -> Choice | None:
    """The least loss within ``bytes``; the fastest of those. None where there is none."""
    return _solve(problem, problem.losses, problem.bytes, bytes)


def frontier(problem: Problem) -> list[Choice]:
    """Choices that none beats in both bytes and loss, the largest first."""
    least, most = problem.bytes.min(axis=1).sum(), problem.bytes.max(axis=1).sum()
    found = [most_accurate(problem, budget) for budget in np.linspace(most, least, _POINTS)]
    unbeaten: list[Choice] = []
    for choice in found:
        if choice is None or (unbeaten and choice.formats == unbeaten[-1].formats):
            continue
        if unbeaten and choice.loss <= unbeaten[-1].loss:
            unbeaten.pop()
        unbeaten.append(choice)
    return unbeaten


def _solve(problem: Problem, objective: Table, limited: Table, limit: float) -> Choice | None:
    units, formats = objective.shape
    largest = limited.max() or 1.0
    one_each = LinearConstraint(np.kron(np.eye(units), np.ones(formats)), 1, 1)
    # Scaled, because the solver's tolerances are absolute.
    within = LinearConstraint(limited.reshape(1, -1) / largest, -np.inf, limit / largest * (1 + 1e-9))
    scaled = objective / (objective.max() or 1.0) + _TIE * problem.seconds / (problem.seconds.max() or 1.0)
    with _silent_stdout():
        solved = milp(
            scaled.reshape(-1),
            constraints=[one_each, within],
            integrality=np.ones(units * formats),
            bounds=Bounds(0, 1),
            options={"mip_rel_gap": _GAP, "time_limit": _SECONDS},
        )
    if solved.x is None:
        return None
    return problem.choice([int(place) for place in solved.x.reshape(units, formats).argmax(axis=1)])


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """HiGHS prints some of its doings past Python, whatever it is told, and stdout is for results."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
