"""Ranges of activations, gathered in bounded memory while calibration data streams through."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Observer(Protocol):
    """Sees a layer's inputs one after the other and then gives their range."""

    def observe(self, values: Tensor) -> None:
        """Take in one input of any shape."""

    def range(self) -> tuple[float, float]:
        """Lowest and highest value to represent; values outside saturate."""


class MinMax:
    """The extremes of all that was seen."""

    def __init__(self) -> None:
        self.low = float("inf")
        self.high = float("-inf")

    def observe(self, values: Tensor) -> None:
        """Take in one input of any shape."""
        low, high = torch.aminmax(values)
        self.low = min(self.low, float(low))
        self.high = max(self.high, float(high))

    def range(self) -> tuple[float, float]:
        """Lowest and highest value seen."""
        return self.low, self.high


class Percentile:
    """The range that holds a given share of all values, from a histogram whose span doubles as needed.

    Unlike ONNX Runtime's percentile calibrator it keeps no activations: 4096 counts a layer, however long the data.
    """

    BINS = 4096

    def __init__(self, percentile: float = 99.99) -> None:
        if not 50.0 < percentile <= 100.0:
            raise ValueError(f"percentile must lie in (50, 100], not {percentile}")
        self.percentile = percentile
        self.span = 0.0
        self.counts = torch.zeros(self.BINS, dtype=torch.float64)
        self._extremes = MinMax()

    def observe(self, values: Tensor) -> None:
        """Take in one input of any shape."""
        self._extremes.observe(values)
        largest = max(abs(self._extremes.low), abs(self._extremes.high))
        if self.span == 0.0:
            self.span = largest
        while self.span < largest:
            self._double_span()
        if self.span > 0.0:
            self.counts += torch.histc(values.float(), self.BINS, -self.span, self.span).double()

    def range(self) -> tuple[float, float]:
        """Edges of the bins between which ``percentile`` % of the values lie, half of the rest on either side."""
        total = float(self.counts.sum())
        if total == 0.0:
            return self._extremes.range()
        tail = (1.0 - self.percentile / 100.0) / 2.0 * total
        cumulated = self.counts.cumsum(0)
        width = 2.0 * self.span / self.BINS
        first = int(torch.searchsorted(cumulated, torch.tensor(tail, dtype=torch.float64), right=True))
        last = int(torch.searchsorted(cumulated, torch.tensor(total - tail, dtype=torch.float64)))
        low = max(-self.span + first * width, self._extremes.low)
        high = min(-self.span + (last + 1) * width, self._extremes.high)
        return low, high

    def _double_span(self) -> None:
        # Pairs of bins merge into the middle half of a span twice as wide: counts stay exact.
        merged = self.counts.view(-1, 2).sum(1)
        self.counts = torch.zeros_like(self.counts)
        self.counts[self.BINS // 4 : 3 * self.BINS // 4] = merged
        self.span *= 2.0
