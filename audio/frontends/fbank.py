"""Log-mel features equal to those of transformers' ``SeamlessM4TFeatureExtractor``, computed for many frames at once.

Source of the computation: Kaldi's ``compute-fbank-feats`` (povey window, pre-emphasis 0.97, no dither), as that
extractor calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rate import SAMPLE_RATE
from .base import Floats, Transform

# A window of 25 ms every 10 ms: fixed in that extractor, whatever preprocessor_config.json says.
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SIZE = 512
BINS = FFT_SIZE // 2 + 1
PRE_EMPHASIS = 0.97
INT16_SCALE = 32_768.0
MEL_FLOOR = 1.192092955078125e-07
_LOWEST_HZ = 20.0
_VARIANCE_FLOOR = 1e-7
# Frames transformed at a time: their arrays stay in cache, and memory does not grow with the file.
_BLOCK_FRAMES = 128
# Frames of one product with the mel filters: too few for a BLAS to use several threads. Those would compete for cores
# with the engine's threads, which still spin after an inference, and both would be several times slower.
_ROWS = 8
# Window and hop are whole numbers of these pieces, so that each sample enters one sum, not one a frame.
_PIECE = gcd(FRAME_SAMPLES, HOP_SAMPLES)


def fbank(waveform: Floats, num_mel_bins: int) -> Floats:
    """Log-mel energies (frames, mel bins) of mono samples at 16 kHz, before normalization; 100 frames per second."""
    frames = max(0, 1 + (waveform.size - FRAME_SAMPLES) // HOP_SAMPLES)
    energies = np.empty((frames, num_mel_bins), dtype=np.float32)
    if frames == 0:
        return energies
    window, filters = povey_window(), mel_filters(num_mel_bins)
    size = min(_BLOCK_FRAMES, -(-frames // _ROWS) * _ROWS)
    # float64 as in the extractor: in float32 the quiet bins of a loud, noise-free frame would be rounding noise.
    padded, power, imaginary = np.zeros((size, FFT_SIZE)), np.zeros((size, BINS)), np.empty((size, BINS))
    for start in range(0, frames, size):
        count = min(size, frames - start)
        begin = start * HOP_SAMPLES
        samples = np.multiply(
            waveform[begin : begin + (count - 1) * HOP_SAMPLES + FRAME_SAMPLES], INT16_SCALE, dtype=np.float64
        )
        sums = np.add.reduce(samples.reshape(-1, _PIECE), axis=1)
        means = _frames_of(sums, FRAME_SAMPLES // _PIECE, HOP_SAMPLES // _PIECE).sum(axis=1) / FRAME_SAMPLES
        # Pre-emphasis is linear, so it is computed once for all frames, and (1 - 0.97) of each frame's mean is
        # subtracted afterwards. Kaldi treats a frame's first sample differently, but the window is zero there.
        samples[1:] -= PRE_EMPHASIS * samples[:-1]
        emphasized = padded[:count, :FRAME_SAMPLES]
        rest = ((1.0 - PRE_EMPHASIS) * means)[:, None]
        np.subtract(_frames_of(samples, FRAME_SAMPLES, HOP_SAMPLES), rest, out=emphasized)
        emphasized *= window
        spectrum = np.fft.rfft(padded[:count], axis=1)
        np.square(spectrum.real, out=power[:count])
        np.square(spectrum.imag, out=imaginary[:count])
        power[:count] += imaginary[:count]
        mel = np.matmul(power.astype(np.float32).reshape(-1, _ROWS, BINS), filters)
        energies[start : start + count] = mel.reshape(size, -1)[:count]
    np.maximum(energies, np.float32(MEL_FLOOR), out=energies)
    np.log(energies, out=energies)
    return energies


def normalize(energies: Floats) -> Floats:
    """Zero mean and unit variance per mel bin of one utterance (frames, mel bins).

    Computed in float32 with the unbiased variance, as the extractor does. The variance of silence is zero, so its
    result is the rounding error of its mean.
    """
    # With bins first in memory, as in the extractor, numpy sums pairwise, and long audio keeps its precision.
    energies = np.asfortranarray(energies)
    deviation = np.sqrt(energies.var(axis=0, ddof=1) + np.float32(_VARIANCE_FLOOR))
    normalized: Floats = (energies - energies.mean(axis=0)) / deviation
    return normalized


class RunningStatistics:
    """Mean and deviation per mel bin over blocks of frames, in float64 (Chan et al. 1983, pairwise updates)."""

    def __init__(self, num_mel_bins: int) -> None:
        self.frames = 0
        self._mean = np.zeros(num_mel_bins)
        self._squares = np.zeros(num_mel_bins)

    def add(self, energies: Floats) -> None:
        """Add a block of frames (frames, mel bins)."""
        count = len(energies)
        if count == 0:
            return
        mean = energies.mean(axis=0, dtype=np.float64)
        shift = mean - self._mean
        total = self.frames + count
        self._squares += np.square(energies - mean).sum(axis=0) + shift**2 * (self.frames * count / total)
        self._mean += shift * (count / total)
        self.frames = total

    def normalize(self, energies: Floats) -> Floats:
        """Normalize a block (frames, mel bins) by the mean and deviation of everything added so far."""
        deviation = np.sqrt(self._squares / max(self.frames - 1, 1) + _VARIANCE_FLOOR)
        return ((energies - self._mean) / deviation).astype(np.float32)


def fbank_blocks(blocks: Iterator[Floats], num_mel_bins: int, transform: Transform = fbank) -> Iterator[Floats]:
    """``fbank`` of a stream of sample blocks: the same frames, one block of frames for each block of samples."""
    rest = np.empty(0, dtype=np.float32)
    for samples in blocks:
        joined = np.concatenate((rest, samples))
        energies = transform(joined, num_mel_bins)
        rest = joined[len(energies) * HOP_SAMPLES :]
        yield energies


def _frames_of(samples: NDArray[np.float64], size: int, hop: int) -> NDArray[np.float64]:
    """Overlapping stretches of ``samples`` as a view, (frames, size)."""
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]


@cache
def povey_window() -> NDArray[np.float64]:
    """Kaldi's povey window: a Hann window to the power 0.85."""
    return np.hanning(FRAME_SAMPLES) ** 0.85


@cache
def mel_filters(bins: int) -> Floats:
    """Triangles of equal width on Kaldi's mel scale between 20 Hz and the Nyquist frequency, (257, bins)."""

    def mel(hertz: NDArray[Any]) -> NDArray[Any]:
        return 1127.0 * np.log1p(hertz / 700.0)

    low, high = mel(np.array([_LOWEST_HZ, SAMPLE_RATE / 2]))
    edges = np.linspace(low, high, bins + 2)
    # Kaldi gives the bin of the Nyquist frequency no weight.
    points = mel(np.arange(BINS) * (SAMPLE_RATE / FFT_SIZE))[:, None]
    rising = (points - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - points) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[-1] = 0.0
    weights: Floats = filters.astype(np.float32)
    return weights
