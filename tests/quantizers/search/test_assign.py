"""The integer program against all assignments of a small problem."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qasr.quantizers.search.assign import Problem, frontier, most_accurate, smallest

UNITS, FORMATS = 5, 3


@pytest.fixture
def problem():
    random = np.random.default_rng(3)
    sizes = random.integers(1, 9, (UNITS, 1)) * 1000
    return Problem(
        losses=np.sort(random.random((UNITS, FORMATS)) ** 4, axis=1),
        bytes=sizes * np.array([16.0, 8.0, 4.0]),
        seconds=random.random((UNITS, FORMATS)),
    )


def everything(problem):
    return [problem.choice(formats) for formats in product(range(FORMATS), repeat=UNITS)]


@pytest.mark.parametrize("budget", [0.05, 0.3, 1.0])
def test_smallest_within_a_loss(problem, budget):
    allowed = [choice for choice in everything(problem) if choice.loss <= budget]
    actual = smallest(problem, budget)
    assert actual.loss <= budget
    assert actual.bytes == min(choice.bytes for choice in allowed)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_most_accurate_within_bytes(problem, share):
    budget = share * problem.bytes.max(axis=1).sum()
    actual = most_accurate(problem, budget)
    assert actual.bytes <= budget
    best = min(choice.loss for choice in everything(problem) if choice.bytes <= budget)
    assert actual.loss == pytest.approx(best, rel=1e-3)


def test_the_faster_of_equals():
    equal = np.ones((2, 2))
    problem = Problem(losses=np.zeros((2, 2)), bytes=equal, seconds=np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert smallest(problem, 0.0).formats == (1, 0)


def test_nothing_fits(problem):
    assert smallest(problem, problem.losses.min(axis=1).sum() / 2) is None
    assert most_accurate(problem, problem.bytes.min(axis=1).sum() - 1) is None


def test_frontier_is_unbeaten(problem):
    actual = frontier(problem)
    assert len(actual) > 5
    sizes, losses = [choice.bytes for choice in actual], [choice.loss for choice in actual]
    assert sizes == sorted(set(sizes), reverse=True)
    assert losses == sorted(losses)
    assert actual[0].formats == (0,) * UNITS
    assert actual[-1].bytes == problem.bytes.min(axis=1).sum()
    for choice in actual:
        beaten = [o for o in everything(problem) if o.bytes <= choice.bytes and o.loss < choice.loss * (1 - 1e-3)]
        assert not [o for o in beaten if o.bytes < choice.bytes]
