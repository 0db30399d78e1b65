"""Which channel of a recording is transcribed: the mix of all, or the one in which speech survives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .frontends import Floats

_HOPS_PER_SECOND = 50
# Levels are those of a band up to 4 kHz: means of neighbouring samples, whose differences drop hum and constant parts.
_BAND_RATE = 8_000
_DIFFERENCE = 0.9
_LOWEST_DB, _HIGHEST_DB = -90, 90
_BACKGROUND_PERCENTILE = 10
# A channel is preferred to the mix if its speech rises more above its background, by as much.
_BETTER_DB = 8.0
_EQUAL_DB = 0.5
# A mix of unrelated channels has a channel's mean power divided by their number. Ten times less is cancellation.
_CANCELLED = 0.1
_CANCELLED_SHARE = 0.1


class ChannelChoice:
    """Compares the channels of a recording, block by block, in memory that does not grow."""

    def __init__(self, rate: int, channels: int) -> None:
        self._channels = channels
        self._step = max(1, rate // _BAND_RATE)
        self._hop = max(2, round(rate / self._step / _HOPS_PER_SECOND))
        self._rest = np.zeros((0, channels), dtype=np.float32)
        # Of each channel, and of the mix.
        self._power = np.zeros(channels + 1)
        self._levels = np.zeros((channels + 1, _HIGHEST_DB - _LOWEST_DB + 1), dtype=np.int64)
        self._cancelled = 0.0

    def add(self, block: Floats) -> None:
        """Add samples (n, channels)."""
        joined = np.concatenate((self._rest, block))
        size = self._step * self._hop
        hops = len(joined) // size
        self._rest = joined[hops * size :]
        if hops:
            self._add(joined[: hops * size].reshape(hops, self._hop, self._step, self._channels).mean(axis=2))

    def channel(self) -> int | None:
        """Index of the channel to transcribe; None for the mix."""
        power = self._power.sum() and self._power / max(1, self._levels[0].sum())
        if not np.any(power):
            return None
        loudness = 10 * np.log10(np.maximum(power, 10 ** (_LOWEST_DB / 10)))
        rise = loudness - [self._background(row) for row in self._levels]
        # The first of those that are equal but for rounding.
        best = int(np.argmax(rise[:-1] >= rise[:-1].max() - _EQUAL_DB))
        cancels = self._cancelled > _CANCELLED_SHARE * self._power[:-1].mean()
        return best if cancels or rise[best] > rise[-1] + _BETTER_DB else None

    def _add(self, band: Floats) -> None:
        """Add hops of samples (hops, samples, channels)."""
        differences = band[:, 1:] - _DIFFERENCE * band[:, :-1]
        differences = differences - differences.mean(axis=1, keepdims=True)
        mix = differences.mean(axis=2, keepdims=True)
        power = np.concatenate((differences, mix), axis=2, dtype=np.float64)
        power = np.square(power).mean(axis=1)
        mean = power[:, :-1].mean(axis=1)
        self._power += power.sum(axis=0)
        self._cancelled += float(mean[power[:, -1] < _CANCELLED * mean / self._channels].sum())
        levels = np.clip(np.rint(10 * np.log10(power + 1e-30)), _LOWEST_DB, _HIGHEST_DB).astype(np.int64) - _LOWEST_DB
        for row, column in zip(self._levels, levels.T, strict=True):
            row += np.bincount(column, minlength=row.size)

    def _background(self, counts: NDArray[np.int64]) -> float:
        below = np.cumsum(counts)
        return float(np.searchsorted(below, below[-1] * _BACKGROUND_PERCENTILE / 100, side="left") + _LOWEST_DB)


def mixed(block: Floats, channel: int | None) -> Floats:
    """One channel (n,) of samples (n, channels), or the mean of all."""
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    return block.mean(axis=1, dtype=np.float32) if block.shape[1] > 1 else block[:, 0]
