"""Ranges of activations, gathered in bounded memory while calibration data stream through the model."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from ..layers.operators import UINT8_MAX


class Observer(Protocol):
    """Observes a layer's inputs one after the other, then returns their range."""

    def observe(self, values: Tensor) -> None:
        """Take in one input of any shape."""

    def range(self) -> tuple[float, float]:
        """Lowest and highest value to represent; values outside saturate."""


class MinMax:
    """The extremes of all observed values."""

    def __init__(self) -> None:
        self.low = float("inf")
        self.high = float("-inf")

    def observe(self, values: Tensor) -> None:
        """Take in one input of any shape."""
        low, high = (float(value) for value in torch.aminmax(values))
        # Python's min and max ignore NaN, which must not get lost.
        self.low = low if math.isnan(low) else min(self.low, low)
        self.high = high if math.isnan(high) else max(self.high, high)

    def range(self) -> tuple[float, float]:
        """Lowest and highest observed value."""
        return self.low, self.high


class Histogram:
    """Counts of values in bins of equal width between ``-span`` and ``span``, which doubles as needed.

    It keeps no activations, unlike ONNX Runtime's calibrators: 4096 counts per layer for data of any length.
    """

    BINS = 4096

    def __init__(self) -> None:
        self.span = 0.0
        self.counts = torch.zeros(self.BINS, dtype=torch.float64)
        self.extremes = MinMax()

    def observe(self, values: Tensor) -> None:
        """Take in one input of any shape."""
        self.extremes.observe(values)
        largest = max(abs(self.extremes.low), abs(self.extremes.high))
        if not (math.isfinite(self.extremes.low) and math.isfinite(self.extremes.high)):
            return
        if self.span == 0.0:
            self.span = largest
        while self.span < largest:
            self._double_span()
        if self.span > 0.0:
            self.counts += torch.histc(values.float(), self.BINS, -self.span, self.span).double()

    @property
    def width(self) -> float:
        """Width of a bin."""
        return 2.0 * self.span / self.BINS

    @property
    def usable(self) -> bool:
        """Whether all values were finite and some of them differed from 0."""
        return math.isfinite(self.extremes.low) and math.isfinite(self.extremes.high) and self.span > 0.0

    def _double_span(self) -> None:
        # Pairs of bins merge into the middle half of a span twice as wide: counts stay exact.
        merged = self.counts.view(-1, 2).sum(1)
        self.counts = torch.zeros_like(self.counts)
        self.counts[self.BINS // 4 : 3 * self.BINS // 4] = merged
        self.span *= 2.0


class Percentile(Histogram):
    """The range that contains a given share of all values."""

    def __init__(self, percentile: float = 99.99) -> None:
        if not 50.0 < percentile <= 100.0:
            raise ValueError(f"percentile must lie in (50, 100], not {percentile}")
        super().__init__()
        self.percentile = percentile

    def range(self) -> tuple[float, float]:
        """Edges of the bins between which ``percentile`` % of the values lie, half of the rest on either side."""
        if not self.usable:
            return self.extremes.range()
        total = float(self.counts.sum())
        tail = (1.0 - self.percentile / 100.0) / 2.0 * total
        cumulated = self.counts.cumsum(0)
        first = int(torch.searchsorted(cumulated, torch.tensor(tail, dtype=torch.float64), right=True))
        last = int(torch.searchsorted(cumulated, torch.tensor(total - tail, dtype=torch.float64)))
        low = max(-self.span + first * self.width, self.extremes.low)
        high = min(-self.span + (last + 1) * self.width, self.extremes.high)
        return low, high


class MSE(Histogram):
    """The range whose uint8 quantization has the least mean squared error.

    Wide ranges round coarsely, narrow ones saturate; both edges are searched for the best sum of the two errors. The
    aim is that of Banner et al. 2019, arXiv:1810.05723, and of torch's ``HistogramObserver``, but the density is the
    histogram's own, taken as even within a bin, and the integral of the squared error over each bin is exact, so that
    steps may be finer than bins.
    """

    # Octaves below the extremes: down to 1/256, then ever closer around the best.
    _OCTAVES = torch.arange(9, dtype=torch.float64)
    _AROUND = torch.linspace(-1.0, 1.0, 9, dtype=torch.float64)

    def range(self) -> tuple[float, float]:
        """The best range, within the extremes and with 0."""
        if not self.usable:
            return self.extremes.range()
        low, high = min(self.extremes.low, 0.0), max(self.extremes.high, 0.0)
        # Where all values lie on one side of 0, the other edge is 0 at any octave.
        lows = highs = self._OCTAVES
        best = (0.0, 0.0)
        for reach in (1.0, 0.25, 0.0625, 0.0):
            errors = self.errors(low * torch.exp2(-lows), high * torch.exp2(-highs))
            row, column = divmod(int(errors.argmin()), errors.shape[1])
            best = float(lows[row]), float(highs[column])
            lows, highs = ((octave + reach * self._AROUND).clamp_min(0.0) for octave in best)
        return low * 2.0 ** -best[0], high * 2.0 ** -best[1]

    def errors(self, lows: Tensor, highs: Tensor) -> Tensor:
        """Mean squared error of every pair of ``lows`` (L,) ≤ 0 and ``highs`` (H,) ≥ 0 float64: (L, H)."""
        scale = ((highs[None, :] - lows[:, None]) / UINT8_MAX)[..., None]
        zero_point = torch.clamp(torch.round(-lows[:, None, None] / scale), 0, UINT8_MAX)
        edges = torch.linspace(-self.span, self.span, self.BINS + 1, dtype=torch.float64)
        first, last = self.counts.nonzero()[[0, -1], 0].tolist()
        values = edges[first : last + 2] / scale
        integers = torch.minimum(torch.maximum(torch.round(values), -zero_point), UINT8_MAX - zero_point)
        # Antiderivative of (value − integer)², in steps: 1/12 for each integer passed, and the cube of the rest.
        passed = integers / 12.0 + (values - integers) ** 3 / 3.0
        squares = torch.diff(passed, dim=-1) @ self.counts[first : last + 1]
        return squares * scale[..., 0] ** 3 / (self.width * self.counts.sum())
