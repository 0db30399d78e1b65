"""An energy rule for where a recording may hold speech: its levels rise above the local background in some band.

It is no classifier: music, and noise that comes and goes, pass as speech. It is tuned to miss no speech.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .frontends import Floats
from .rate import SAMPLE_RATE

HOP_SAMPLES = 320
"""Samples from one decision to the next: 20 ms."""

_WINDOW_SAMPLES = 512
# Speech in noise rises above it in some of these bands earlier than in all together.
_BAND_EDGES_HZ = (200, 500, 1_000, 2_000, 4_000, 7_800)
_EDGES = [round(edge * _WINDOW_SAMPLES / SAMPLE_RATE) for edge in _BAND_EDGES_HZ]
_HOPS_PER_SECOND = SAMPLE_RATE // HOP_SAMPLES
# The background of a second is a low percentile of the ten seconds on either side of it: reciters pause more often.
_BACKGROUND_PERCENTILE = 10
_BACKGROUND_SECONDS = 10
_RISE_DB = 8.0
# A shorter recording may be one sustained sound: only what is quieter than the floor is no speech.
_SHORTEST_SECONDS = 1.4
# Digital silence: below the noise of 16 bits, and no background of what stands beside it.
_FLOOR_DB = -130.0
_BINS = 256
_SECONDS_AT_ONCE = 100
# Tokens may stand a little beside the sound that they belong to, and sounds fade.
_MARGIN_HOPS = round(0.6 * _HOPS_PER_SECOND)
_BLOCK_WINDOWS = 256


class SpeechDetector:
    """Gathers the levels of a recording block by block: 20 bytes for every 20 ms."""

    def __init__(self) -> None:
        self._levels: list[Floats] = []
        self._rest = np.zeros(0, dtype=np.float32)

    def add(self, samples: Floats) -> None:
        """Add a block of samples, mono at 16 kHz."""
        joined = np.concatenate((self._rest, samples))
        hops = max(0, 1 + (joined.size - _WINDOW_SAMPLES) // HOP_SAMPLES)
        self._rest = joined[hops * HOP_SAMPLES :]
        if hops:
            frames = np.lib.stride_tricks.sliding_window_view(joined, _WINDOW_SAMPLES)[::HOP_SAMPLES]
            self._levels += [
                _levels(frames[start : start + _BLOCK_WINDOWS]) for start in range(0, hops, _BLOCK_WINDOWS)
            ]

    def speech(self) -> NDArray[np.bool_]:
        """Whether there may be speech, for every 20 ms of what was added; empty for less than 32 ms."""
        if not self._levels:
            return np.zeros(0, dtype=np.bool_)
        # A click is shorter than three hops.
        levels = _medians(np.concatenate(self._levels))
        rises: NDArray[np.bool_] = np.asarray((levels > _background(levels) + _RISE_DB).any(axis=1))
        return _widened(rises)

    def speech_at(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether there may be speech at these times; in what is too short to tell, there may be."""
        speech = self.speech()
        if speech.size == 0:
            return np.ones(seconds.shape, dtype=np.bool_)
        hops = np.floor(seconds * _HOPS_PER_SECOND).astype(np.int64)
        return speech[np.minimum(hops, speech.size - 1)]


def _levels(frames: Floats) -> Floats:
    """Levels (n, bands) of windows (n, samples), in dB of full scale."""
    spectrum = np.fft.rfft(frames * _hann(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.add.reduceat(power[:, : _EDGES[-1]], _EDGES[:-1], axis=1)
    # Parseval: a sine of full scale has -3 dB; 0.375 is the mean square of the Hann window.
    mean_square = bands * (2 / (0.375 * _WINDOW_SAMPLES**2))
    levels: Floats = np.maximum(10 * np.log10(mean_square + 1e-30), _FLOOR_DB).astype(np.float32)
    return levels


@cache
def _hann() -> Floats:
    return np.hanning(_WINDOW_SAMPLES).astype(np.float32)


def _medians(levels: Floats) -> Floats:
    """The median of five neighbours: the middle one of the middle ones."""
    a, b, c, d, e = (np.pad(levels, ((2, 2), (0, 0)), mode="edge")[shift : shift + len(levels)] for shift in range(5))
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    medians: Floats = np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), e))
    return medians


def _background(levels: Floats) -> Floats:
    """The background's level (n, bands) around every hop, in whole dB."""
    if len(levels) < _SHORTEST_SECONDS * _HOPS_PER_SECOND:
        return np.full_like(levels, _FLOOR_DB)
    seconds = -(-len(levels) // _HOPS_PER_SECOND)
    parts = [
        _background_of(levels, start, min(start + _SECONDS_AT_ONCE, seconds))
        for start in range(0, seconds, _SECONDS_AT_ONCE)
    ]
    return np.repeat(np.concatenate(parts), _HOPS_PER_SECOND, axis=0)[: len(levels)]


def _background_of(levels: Floats, start: int, stop: int) -> Floats:
    """The background's level (seconds, bands) in each second from ``start`` to ``stop``."""
    first = max(0, start - _BACKGROUND_SECONDS)
    around = levels[first * _HOPS_PER_SECOND : (stop + _BACKGROUND_SECONDS) * _HOPS_PER_SECOND]
    bands, seconds = around.shape[1], -(-len(around) // _HOPS_PER_SECOND)
    bins = np.clip(np.rint(around - _FLOOR_DB), 0, _BINS - 1).astype(np.int64)
    second = (np.arange(len(around)) // _HOPS_PER_SECOND)[:, None]
    cells = (second * bands + np.arange(bands)) * _BINS + bins
    counts = np.bincount(cells.ravel(), minlength=seconds * bands * _BINS).reshape(seconds, bands, _BINS)
    # Digital silence is no background.
    counts[:, :, 0] = 0
    sums = np.concatenate((np.zeros((1, bands, _BINS), dtype=np.int64), counts.cumsum(axis=0)))
    index = np.arange(start, stop) - first
    near = sums[np.minimum(index + _BACKGROUND_SECONDS + 1, seconds)] - sums[np.maximum(index - _BACKGROUND_SECONDS, 0)]
    below = near.cumsum(axis=2)
    ranks = below[:, :, -1:] * (_BACKGROUND_PERCENTILE / 100)
    background: Floats = ((below <= ranks).sum(axis=2) * (below[:, :, -1] > 0) + _FLOOR_DB).astype(np.float32)
    return background


def _widened(speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Speech and the margins around it."""
    sums = np.concatenate(([0], np.cumsum(speech)))
    hops = np.arange(speech.size)
    widened: NDArray[np.bool_] = (
        sums[np.minimum(hops + _MARGIN_HOPS + 1, speech.size)] > sums[np.maximum(hops - _MARGIN_HOPS, 0)]
    )
    return widened
