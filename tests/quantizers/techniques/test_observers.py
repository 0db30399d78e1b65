"""Observers: what range they find in data of known distribution."""

from __future__ import annotations

import pytest
import torch

from qasr.quantizers.layers.operators import activation_range, round_activation
from qasr.quantizers.techniques.observers import MSE, Histogram, MinMax, Observer, Percentile


def normal(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def squared_error(values: torch.Tensor, limits: tuple[float, float]) -> float:
    """What quantization by a range really costs."""
    scale, zero_point = activation_range(*limits)
    rounded = round_activation(values, torch.tensor(scale), torch.tensor(zero_point))
    return float((rounded - values).double().square().mean())


def seen(observer: Observer, values: torch.Tensor) -> tuple[float, float]:
    for part in values.split(5_000):
        observer.observe(part)
    return observer.range()


def test_minmax():
    observer = MinMax()
    for values in ([1.0, 2.0], [-3.0, 0.5]):
        observer.observe(torch.tensor(values))
    assert observer.range() == (-3.0, 2.0)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_equals_that_of_all_values(percentile):
    parts = [torch.randn(20_000, generator=torch.Generator().manual_seed(seed)) * (1 + seed) for seed in range(6)]
    observer = Percentile(percentile)
    for part in parts:
        observer.observe(part)
    everything = torch.cat(parts).double()
    tail = (1 - percentile / 100) / 2
    width = observer.width
    low, high = observer.range()
    # Exact to a bin: the tail beyond the range holds no more than its share, and a bin further in it holds that. A
    # value or two on an edge may fall to either side.
    edge = 2 / everything.numel()
    for share in ((everything < low), (everything > high)):
        assert float(share.double().mean()) <= tail + edge
    for share in ((everything < low + 2 * width), (everything > high - 2 * width)):
        assert float(share.double().mean()) >= tail - edge


def test_percentile_counts_survive_a_growing_span():
    observer = Percentile(99.0)
    observer.observe(torch.linspace(-1, 1, 1000))
    observer.observe(torch.tensor([100.0]))
    assert observer.counts.sum() == 1001
    assert observer.span >= 100
    assert observer.range()[1] < 2.0, "one outlier must not widen the range"


def test_percentile_100_is_minmax():
    observer = Percentile(100.0)
    observer.observe(torch.tensor([-0.3, 0.7, 0.1]))
    low, high = observer.range()
    assert low == pytest.approx(-0.3)
    assert high == pytest.approx(0.7)


@pytest.mark.parametrize("observer", [Percentile(), MSE()])
def test_observers_keep_no_activations(observer):
    for seed in range(20):
        observer.observe(torch.randn(10_000, generator=torch.Generator().manual_seed(seed)))
    held = sum(value.numel() for value in vars(observer).values() if isinstance(value, torch.Tensor))
    assert held == Histogram.BINS


def test_percentile_bounds():
    with pytest.raises(ValueError, match=r"must lie in \(50, 100\]"):
        Percentile(30.0)


def test_mse_clips_outliers_just_as_far_as_it_pays():
    values = torch.cat([normal(200_000), 30 * normal(40, seed=1)])
    low, high = seen(MSE(), values)
    least, most = seen(MinMax(), values)
    assert least < 1.2 * low < low < -10
    assert 10 < high < 1.2 * high < most
    error = squared_error(values, (low, high))
    assert error < 0.75 * squared_error(values, (least, most))
    for percentile in (99.9, 99.99, 99.999):
        assert error < 0.95 * squared_error(values, seen(Percentile(percentile), values))


@pytest.mark.parametrize(
    "values",
    [
        torch.cat([normal(100_000), 30 * normal(20, seed=1)]),
        torch.nn.functional.silu(3 * normal(100_000)),
        torch.nn.functional.relu(normal(100_000)),
        torch.cat([normal(100_000) - 3, 20 * normal(50).abs()]),
    ],
    ids=["outliers", "silu", "relu", "skewed"],
)
def test_mse_is_the_best_of_all_pairs_of_edges(values):
    """Against brute force over both edges, on the values themselves rather than on the histogram."""
    actual = squared_error(values, seen(MSE(), values))
    low, high = float(values.min().clamp_max(0)), float(values.max())
    shares = [2 ** (-step / 4) for step in range(16)]
    best = min(squared_error(values, (low * left, high * right)) for left in shares for right in shares)
    assert actual < 1.02 * best


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 3.0), (-2.0, 0.0), (0.5, 2.0)])
def test_mse_of_even_values_is_minmax(low, high):
    observer = MSE()
    actual = seen(observer, torch.linspace(low, high, 50_001))
    assert actual == pytest.approx((min(low, 0.0), max(high, 0.0)), abs=observer.width)


def test_mse_predicts_the_error():
    """The integral over the histogram is the error that quantization then makes."""
    observer, values = MSE(), normal(200_000)
    low, high = seen(observer, values)
    edges = (torch.tensor([edge], dtype=torch.float64) for edge in (low, high))
    assert float(observer.errors(*edges)) == pytest.approx(squared_error(values, (low, high)), rel=0.03)


@pytest.mark.parametrize("kind", [Percentile, MSE])
def test_zeros_and_single_values(kind):
    assert seen(kind(), torch.zeros(10)) == (0.0, 0.0)
    assert seen(kind(), torch.full((10,), 2.0))[1] == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [MinMax, Percentile, MSE])
def test_values_that_are_no_numbers_are_not_passed_over(kind, bad):
    """Wherever they come, the range says so, and ``static`` refuses it."""
    observer = kind()
    for values in ([1.0, -1.0], [0.5, bad], [2.0, 3.0]):
        observer.observe(torch.tensor(values))
    assert not torch.isfinite(torch.tensor(observer.range())).all()
