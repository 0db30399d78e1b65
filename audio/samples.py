"""Samples in memory: arrays, tensors and lists of any type and shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError
from .frontends import Floats

MAX_CHANNELS = 64
"""Arrays with more rows and more columns are no recording."""


class ArrayDecoder:
    """Samples (n, channels) as a decoder gives them."""

    def __init__(self, samples: Floats, rate: int) -> None:
        self.rate = rate
        self.frames: int | None
        self.frames, self.channels = samples.shape
        self.notes: list[str] = []
        self._samples = samples

    def blocks(self, frames: int) -> Iterator[Floats]:
        """Views of the samples."""
        for start in range(0, len(self._samples), frames):
            yield self._samples[start : start + frames]

    def close(self) -> None:
        """Nothing to release."""


def to_samples(values: Any) -> Floats:
    """Samples (n, channels) float32 of an array, tensor or list, of shape (n,), (n, channels) or (channels, n).

    Whole numbers are scaled to ±1: by the range of their type, or, of Python's and 64-bit ones, that of the smallest
    type that holds them, from 16 bits. Raises AudioError for what are no samples.
    """
    array = _array(values)
    if array.dtype.kind not in "iuf":
        raise AudioError(f"is an array of {array.dtype}, not of numbers")
    shape = array.shape
    if array.ndim > 2:
        array = array.squeeze()
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or min(array.shape, default=0) > MAX_CHANNELS:
        raise AudioError(f"has the shape {shape}, not (samples,), (samples, channels) or (channels, samples)")
    if 0 < array.shape[0] < array.shape[1]:
        array = array.T
    return _scaled(array)


def _array(values: Any) -> NDArray[Any]:
    """A numpy array. Tensors come from any library that has ``__array__``, which this module need not know."""
    if callable(getattr(values, "detach", None)):
        values = values.detach().cpu()
        # numpy has no bfloat16.
        if "bfloat16" in str(values.dtype):
            values = values.float()
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        raise AudioError("is no array of numbers (its parts differ in length?)") from None


def _scaled(array: NDArray[Any]) -> Floats:
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float32, copy=False)
    bits = 8 * array.dtype.itemsize
    if array.dtype.kind == "u":
        middle = 2.0 ** (bits - 1)
        return ((array - middle) / middle).astype(np.float32)
    if bits == 64:
        largest = float(np.abs(array.astype(np.float64)).max(initial=0))
        bits = next((size for size in (16, 24, 32) if largest <= 2.0 ** (size - 1)), 64)
    return (array / 2.0 ** (bits - 1)).astype(np.float32)
