"""An energy rule for where a recording may hold speech: its levels rise above the local background in some band.

It is no classifier: music, and noise that comes and goes, pass as speech. It is tuned to miss no speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .frontends import Floats
from .rate import SAMPLE_RATE

HOP_SAMPLES = 320
"""Samples from one decision to the next: 20 ms."""

_WINDOW_SAMPLES = 512
# Speech in noise rises above it in some of these bands earlier than in all together.
_BAND_EDGES_HZ = (200, 500, 1_000, 2_000, 4_000)
_EDGES = [round(edge * _WINDOW_SAMPLES / SAMPLE_RATE) for edge in _BAND_EDGES_HZ]
_HOPS_PER_SECOND = SAMPLE_RATE // HOP_SAMPLES
# The background of a second is a low percentile of the ten seconds on either side of it: reciters pause more often.
_BACKGROUND_PERCENTILE = 10
_BACKGROUND_SECONDS = 10
_RISE_DB = 8.0
# A shorter recording may be one sustained sound: only what is quieter than the floor is no speech.
_SHORTEST_SECONDS = 1.5
# Below the noise of 16 bits. Digital silence is quieter, and is not the background of what stands beside it.
_FLOOR_DB = -100.0
# Medians of five hops: a click is shorter.
_MEDIAN_HOPS = 5
# Tokens may stand a little beside the sound that they belong to, and sounds fade.
_MARGIN_HOPS = round(0.4 * _HOPS_PER_SECOND)
_BLOCK_WINDOWS = 1024


class SpeechDetector:
    """Gathers the levels of a recording block by block: 16 bytes for every 20 ms."""

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
            self._levels += [_levels(frames[start : start + _BLOCK_WINDOWS]) for start in range(0, hops, _BLOCK_WINDOWS)]

    def speech(self) -> NDArray[np.bool_]:
        """Whether there may be speech, for every 20 ms of what was added; empty for less than 32 ms."""
        if not self._levels:
            return np.zeros(0, dtype=np.bool_)
        levels = _medians(np.concatenate(self._levels))
        return _widened((levels > _background(levels) + _RISE_DB).any(axis=1))

    def speech_at(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether there may be speech at these times; in what is too short to tell, there may be."""
        speech = self.speech()
        if speech.size == 0:
            return np.ones(seconds.shape, dtype=np.bool_)
        hops = np.floor(seconds * _HOPS_PER_SECOND).astype(np.int64)
        return speech[np.minimum(hops, speech.size - 1)]


def _levels(frames: Floats) -> Floats:
    """Levels (n, bands) of windows (n, samples), in dB of full scale."""
    spectrum = np.fft.rfft(frames * np.hanning(_WINDOW_SAMPLES).astype(np.float32), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.add.reduceat(power[:, : _EDGES[-1]], _EDGES[:-1], axis=1)
    # Parseval: a sine of full scale has -3 dB; 0.375 is the mean square of the Hann window.
    mean_square = bands * (2 / (0.375 * _WINDOW_SAMPLES**2))
    levels: Floats = np.maximum(10 * np.log10(mean_square + 1e-30), _FLOOR_DB).astype(np.float32)
    return levels


def _medians(levels: Floats) -> Floats:
    side = _MEDIAN_HOPS // 2
    padded = np.pad(levels, ((side, side), (0, 0)), mode="edge")
    medians: Floats = np.median(np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN_HOPS, axis=0), axis=-1)
    return medians


def _background(levels: Floats) -> Floats:
    """The background's level (n, bands) around every hop."""
    background = np.full_like(levels, _FLOOR_DB)
    if len(levels) < _SHORTEST_SECONDS * _HOPS_PER_SECOND:
        return background
    reach = _BACKGROUND_SECONDS * _HOPS_PER_SECOND
    for start in range(0, len(levels), _HOPS_PER_SECOND):
        around = levels[max(0, start - reach) : start + _HOPS_PER_SECOND + reach]
        for band in range(levels.shape[1]):
            sound = around[:, band][around[:, band] > _FLOOR_DB]
            if sound.size:
                background[start : start + _HOPS_PER_SECOND, band] = np.percentile(sound, _BACKGROUND_PERCENTILE)
    return background


def _widened(speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Speech and the margins around it."""
    sums = np.concatenate(([0], np.cumsum(speech)))
    hops = np.arange(speech.size)
    widened: NDArray[np.bool_] = (
        sums[np.minimum(hops + _MARGIN_HOPS + 1, speech.size)] > sums[np.maximum(hops - _MARGIN_HOPS, 0)]
    )
    return widened
