"""Long audio as overlapping windows whose frames equal those of the whole file, in memory bounded by the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .errors import AudioError
from .frontends.fbank import (
    Fbank,
    Floats,
    RunningStatistics,
    check_length,
    fbank,
    fbank_blocks,
    normalize,
    stack,
)
from .settings import SAMPLE_RATE, FeatureSettings

WINDOW_SECONDS = 30.0
OVERLAP_SECONDS = 6.0


@dataclass(frozen=True)
class Window:
    """A stretch of a file's frames."""

    features: Floats
    """(frames, feature_size) float32, normalized by the statistics of the whole file."""
    start: int
    """Place of the first frame among the file's frames."""
    first: bool
    last: bool


Blocks = Callable[[], Iterator[Floats]]
"""Opens a recording and gives its samples, mono float32 at 16 kHz, from the start."""


def windows(
    blocks: Blocks,
    settings: FeatureSettings,
    window_seconds: float = WINDOW_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    transform: Fbank = fbank,
) -> Iterator[Window]:
    """A recording's frames in windows that overlap; one that fits a single window gives what ``extract`` gives.

    A longer one is read twice: normalization needs the statistics of all of it, and a stretch of silence normalized by
    itself would be noise. The last window reaches back as far as it needs to be full. Raises AudioError.
    """
    per_second = SAMPLE_RATE / settings.frame_samples
    length, overlap = round(window_seconds * per_second), round(overlap_seconds * per_second)
    # In frames: seconds that round to the same frame would never advance.
    if overlap_seconds <= 0 or overlap >= length:
        raise ValueError(f"the overlap ({overlap_seconds} s) must lie between 0 and the window ({window_seconds} s)")
    statistics, whole = _first_pass(blocks, settings, length, transform)
    if whole is not None:
        yield Window(stack(normalize(whole), settings), 0, first=True, last=True)
        return
    total = statistics.frames // settings.stride
    kept = np.empty((0, settings.feature_size), dtype=np.float32)
    kept_from = start = 0
    for frames in _frames(blocks, settings, statistics, transform):
        kept = np.concatenate((kept, frames))
        while start + length <= kept_from + len(kept):
            begin = start - kept_from
            last = start + length >= total
            yield Window(kept[begin : begin + length].copy(), start, first=start == 0, last=last)
            if last:
                return
            start = min(start + length - overlap, total - length)
        drop = max(0, start - kept_from)
        kept, kept_from = kept[drop:], kept_from + min(drop, len(kept))
    raise AudioError("became shorter while it was read; wait until it is written")


def _first_pass(
    blocks: Blocks, settings: FeatureSettings, length: int, transform: Fbank
) -> tuple[RunningStatistics, Floats | None]:
    """Statistics of the whole recording, and its energies where ``length`` model frames hold all of them."""
    statistics = RunningStatistics(settings)
    kept: list[Floats] = []
    samples = 0

    def counted() -> Iterator[Floats]:
        nonlocal samples
        for block in blocks():
            samples += block.size
            yield block

    for energies in fbank_blocks(counted(), settings, transform):
        statistics.add(energies)
        kept.append(energies)
        if statistics.frames // settings.stride > length:
            kept.clear()
    check_length(samples, settings)
    fits = statistics.frames // settings.stride <= length
    return statistics, np.concatenate(kept) if fits else None


def _frames(
    blocks: Blocks, settings: FeatureSettings, statistics: RunningStatistics, transform: Fbank
) -> Iterator[Floats]:
    """The file's model frames, normalized, in blocks of whole stacks."""
    rest = np.empty((0, settings.num_mel_bins), dtype=np.float32)
    for energies in fbank_blocks(blocks(), settings, transform):
        joined = np.concatenate((rest, statistics.normalize(energies)))
        whole = len(joined) // settings.stride * settings.stride
        rest = joined[whole:]
        yield stack(joined[:whole], settings)
