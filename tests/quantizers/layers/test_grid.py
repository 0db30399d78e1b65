"""Grids by hand: codes, scales and zero points of a few numbers."""

from __future__ import annotations

import pytest
import torch

from qasr.quantizers import WeightScheme
from qasr.quantizers.layers.grid import LARGEST_MULTIPLE, Grid, by_error, by_range, channel_scale, grams

ROW = torch.tensor([[-1.0, -0.5, 0.25, 2.0, 0.0, 0.1, 0.2, 0.3]])


def weights(rows=16, inputs=64, seed=0):
    return torch.randn(rows, inputs, generator=torch.Generator().manual_seed(seed))


def test_asymmetric_spans_the_range_of_each_group():
    grid = by_range(ROW, WeightScheme(bits=2, symmetric=False, group_size=4))
    assert grid.scale.tolist() == [[1.0, pytest.approx(0.1, abs=1e-4)]]
    assert grid.zero_point.tolist() == [[1, 0]]
    # −0.5 lies between two values: half goes to the even code before the zero point is added.
    assert grid.codes(ROW, 2).tolist() == [[0, 1, 1, 3, 0, 1, 2, 3]]
    assert grid.values(ROW, 2)[0, :4].tolist() == [-1.0, 0.0, 0.0, 2.0]


def test_symmetric_puts_the_largest_weight_at_the_far_end():
    grid = by_range(ROW, WeightScheme(bits=4, symmetric=True, group_size=4))
    assert grid.zero_point.tolist() == [[8, 8]]
    assert grid.scale[0, 0] == -0.25
    assert grid.codes(ROW, 4)[0, :4].tolist() == [12, 10, 7, 0]
    assert grid.values(ROW, 4)[0, :4].tolist() == [-1.0, -0.5, 0.25, 2.0]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 4])
def test_range_errs_by_half_a_step_at_most(bits, symmetric):
    weight = weights()
    grid = by_range(weight, WeightScheme(bits, symmetric, 32))
    error = (grid.values(weight, bits) - weight).view(16, 2, 32).abs()
    # A symmetric grid does not reach as far on the side of the smaller extreme; a zero point is rounded itself.
    assert bool((error <= (1.0 + symmetric) * grid.scale.abs()[..., None] + 1e-3).all())
    assert bool((error.median(-1).values <= 0.51 * grid.scale.abs()).all())


def test_scales_are_values_of_fp16():
    for scheme in (WeightScheme(4, False, 16), WeightScheme(2, True, 64)):
        for choose in (by_range, by_error):
            scale = choose(weights() * 1e-3, scheme).scale
            assert torch.equal(scale, scale.half().float())


def test_a_group_of_zeros_stays_zero():
    weight = torch.zeros(2, 32)
    for scheme in (WeightScheme(4, False, 32), WeightScheme(2, True, 16), WeightScheme(4, True, 16, two_level=True)):
        for choose in (by_range, by_error):
            assert torch.equal(choose(weight, scheme).values(weight, scheme.bits), weight)


@pytest.mark.parametrize("symmetric", [True, False])
def test_least_error_is_less(symmetric):
    weight, scheme = weights(64), WeightScheme(2, symmetric, 32)

    def error(grid: Grid) -> torch.Tensor:
        return (grid.values(weight, 2) - weight).view(64, 2, 32).square().sum(-1)

    assert bool((error(by_error(weight, scheme)) <= error(by_range(weight, scheme))).all())
    assert error(by_error(weight, scheme)).sum() < 0.9 * error(by_range(weight, scheme)).sum()


def test_least_error_of_outputs_heeds_the_inputs():
    """Inputs that carry 100 times as much as the others decide."""
    weight, scheme = weights(64), WeightScheme(2, False, 32)
    rows = torch.randn(200, 64, generator=torch.Generator().manual_seed(1))
    rows[:, ::8] *= 100
    expected = rows @ weight.t()

    def error(grid: Grid) -> float:
        return float((rows @ grid.values(weight, 2).t() - expected).square().sum())

    assert error(by_error(weight, scheme, grams(rows, 32))) < 0.7 * error(by_error(weight, scheme))


def test_grams_by_hand():
    rows = torch.tensor([[1.0, 2.0, 3.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    assert grams(rows, 2).tolist() == [[[1.0, 2.0], [2.0, 5.0]], [[10.0, 1.0], [1.0, 1.0]]]


def test_two_levels_are_8_bit_integers_of_a_channel():
    weight = weights() * torch.linspace(0.1, 3.0, 64)
    scheme = WeightScheme(4, True, 16, two_level=True)
    grid = by_error(weight, scheme)
    unit = channel_scale(grid.scale)
    multiples = grid.scale / unit
    assert torch.allclose(multiples, multiples.round(), atol=1e-4)
    assert 1 <= multiples.min() < multiples.max() == pytest.approx(LARGEST_MULTIPLE)
    integers = grid.values(weight, 4) / unit
    assert torch.allclose(integers, integers.round(), atol=1e-3)
    assert integers.abs().max() <= 120
