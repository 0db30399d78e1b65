"""Bootstrap intervals, compared with theory."""

from __future__ import annotations

import pytest

from qasr.bench.accuracy.statistics import bootstrap_delta
from qasr.bench.results import LevelErrors


def test_bootstrap():
    """One of 100 recordings has one edit more: in 37 % of the draws it is not among them, so zero is within."""
    length = [10] * 100
    base = LevelErrors(edits=[0] * 100, lengths=length)
    one = bootstrap_delta([LevelErrors(edits=[1] + [0] * 99, lengths=length)], [base], seed=3)
    assert one.value == 1 / 1000
    assert (one.low, one.is_noise) == (0.0, True)
    assert one.high == pytest.approx(3 / 1000, abs=1e-3)
    many = bootstrap_delta([LevelErrors(edits=[1, 0] * 50, lengths=length)], [base], seed=3)
    # Binomial: 0.05 +- 1.96 * sqrt(0.5 * 0.5 / 100) / 10
    assert (many.value, many.low, many.high) == pytest.approx((0.05, 0.0402, 0.0598), abs=1.1e-3)
    assert not many.is_noise
    same = bootstrap_delta([base], [base], seed=3)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_bootstrap_over_several_levels_is_of_their_mean():
    one, none = LevelErrors(edits=[1, 1], lengths=[4, 4]), LevelErrors(edits=[0, 0], lengths=[4, 4])
    assert bootstrap_delta([one, none], [none, none], seed=0).value == 0.125


def test_the_bootstrap_is_paired():
    """Both make many errors, but the same ones: the difference does not scatter as the rates do."""
    hard = [0, 8] * 20
    length = [10] * 40
    base = LevelErrors(edits=hard, lengths=length)
    worse = LevelErrors(edits=[count + 1 for count in hard], lengths=length)
    actual = bootstrap_delta([worse], [base], seed=0)
    assert (actual.value, actual.low, actual.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_bootstrap_is_seeded():
    one = LevelErrors(edits=[1, 0, 0, 2], lengths=[9, 9, 9, 9])
    none = LevelErrors(edits=[0, 0, 0, 0], lengths=[9, 9, 9, 9])
    assert bootstrap_delta([one], [none], seed=1) == bootstrap_delta([one], [none], seed=1)
