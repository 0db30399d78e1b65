"""Shifts, standard errors and probabilities, compared with values computed by hand and with the promised error rate."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.bench.compare.noise import Shift, beyond_noise, shifts, swap_chance


def test_one_artifact_is_the_two_sample_t_test():
    """Means 2 and 5, sums of squares 2 and 2, variance 4 / 4; t = 3 / sqrt(2 / 3) with 4 degrees of freedom."""
    (shift,) = shifts([[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]])
    assert (shift.value, shift.error, shift.freedom) == pytest.approx((3.0, (2 / 3) ** 0.5, 4.0))
    assert shift.chance == pytest.approx(0.02131, abs=1e-5)
    # The 97.5th percentile of t with 4 degrees of freedom is 2.776.
    assert shift.detectable(0.05) == pytest.approx(2.776 * (2 / 3) ** 0.5, abs=1e-3)


def test_the_variance_is_pooled_but_never_below_an_artifacts_own():
    """Variances 0 and (2 + 2) / 2: pooled 1, which the quiet one gets; both errors times sqrt(1 / 2 + 1 / 2)."""
    quiet, loud = shifts([[1.0, 1.0], [2.0, 4.0]], [[1.0, 1.0], [3.0, 1.0]])
    assert quiet.error == pytest.approx(1.0)
    assert loud.error == pytest.approx(2**0.5)


def test_degrees_of_freedom():
    """Two fully correlated artifacts count as one, two uncorrelated ones as two."""
    together = shifts([[1.0, -1.0]] * 2, [[1.0, -1.0]] * 2)
    apart = shifts([[1.0, -1.0], [1.0, -1.0]], [[1.0, -1.0], [-1.0, 1.0]])
    assert [shift.freedom for shift in together] == pytest.approx([2.0, 2.0])
    assert [shift.freedom for shift in apart] == pytest.approx([4.0, 4.0])
    unequal = shifts([[1.0, -1.0], [1.0, -1.0, 0.0]], [[1.0, -1.0], [-1.0, 1.0]])
    assert [shift.freedom for shift in unequal] == [2, 3]


def test_values_without_information():
    (single,) = shifts([[1.0]], [[9.0]])
    assert (single.chance, single.detectable(0.01)) == (1.0, float("inf"))
    assert Shift(0.0, 0.0, 4).chance == 1.0
    assert Shift(0.1, 0.0, 4).chance == 0.0


def test_holm():
    """0.005 <= 0.05 / 4 and 0.01 <= 0.05 / 3, but 0.03 > 0.05 / 2; all larger probabilities fail too."""
    assert beyond_noise([0.01, 0.04, 0.03, 0.005], 0.05) == {0, 3}
    assert beyond_noise([0.02, 0.5], 0.05) == {0}
    assert beyond_noise([0.03, 0.03], 0.05) == set()
    assert beyond_noise([], 0.05) == set()


def test_swaps():
    """Exactly: 4 of 4 recordings worse have the chance 2 / 2 ** 4, 10 of 10 have 2 / 2 ** 10."""
    assert swap_chance([0] * 9, [1] * 4 + [0] * 5) == pytest.approx(2 / 2**4, abs=0.01)
    assert 2 / 2**10 < swap_chance([0] * 10, [1] * 10) < 0.005
    assert swap_chance([0] * 45, [1] * 45) < 1e-9
    assert swap_chance([3, 1], [1, 3]) == 1.0
    assert swap_chance([2, 2], [2, 2]) == 1.0
    # A single recording, however large its loss, could belong to either run by chance.
    assert swap_chance([0, 0], [0, 50]) > 0.3
    assert swap_chance([4, 1, 0], [0, 0, 0]) == swap_chance([0, 0, 0], [4, 1, 0])


@pytest.mark.parametrize(("own", "shared"), [(0.1, 0.0), (0.1, 0.1), (0.03, 0.2)])
def test_false_alarms_are_as_rare_as_promised(own, shared):
    """14 artifacts, 5 rounds, noise of their own and of a baseline that is in all of them; 1 % is promised."""
    rng = np.random.default_rng(1)

    def rounds():
        return own * rng.standard_normal((14, 5)) - shared * rng.standard_normal(5)

    alarms = [
        bool(beyond_noise([shift.chance for shift in shifts(rounds().tolist(), rounds().tolist())], 0.01))
        for _ in range(400)
    ]
    assert sum(alarms) <= 10


def test_pooling_over_artifacts_adds_degrees_of_freedom():
    rng = np.random.default_rng(2)
    before, after = ((0.1 * rng.standard_normal((14, 3))).tolist() for _ in range(2))
    (alone,) = shifts(before[:1], after[:1])
    assert shifts(before, after)[0].freedom > 2 * alone.freedom
