"""Long audio as overlapping windows whose frames equal those of the whole file, in memory bounded by the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .errors import AudioError
from .frontends import Floats, FrontEnd, Statistics, Transform

WINDOW_SECONDS = 30.0
OVERLAP_SECONDS = 6.0


@dataclass(frozen=True)
class Window:
    """A stretch of a recording's input frames."""

    inputs: Floats
    """(frames, …) float32, normalized by the statistics of the whole recording."""
    start: int
    """Index of the first frame among the recording's frames."""
    first: bool
    last: bool


Blocks = Callable[[], Iterator[Floats]]
"""Opens a recording and iterates over its samples, mono float32 at 16 kHz, from the start."""


def windows(
    blocks: Blocks,
    front_end: FrontEnd,
    window_seconds: float = WINDOW_SECONDS,
    overlap_seconds: float = OVERLAP_SECONDS,
    transform: Transform | None = None,
) -> Iterator[Window]:
    """A recording's input frames in overlapping windows. A recording that fits one window equals ``extract``.

    A longer recording is read twice: its frames are normalized by the statistics of all of it (a silent stretch
    normalized by itself would become noise). The last window is full; it overlaps its predecessor by more than the
    others do. Raises AudioError.
    """
    per_second = front_end.frames_per_second
    length, overlap = round(window_seconds * per_second), round(overlap_seconds * per_second)
    # Compared in frames: an overlap that rounds to the whole window would never advance.
    if overlap_seconds <= 0 or overlap >= length:
        raise ValueError(f"the overlap ({overlap_seconds} s) must be between 0 and the window ({window_seconds} s)")
    statistics, complete = _first_pass(blocks, front_end, length, transform)
    if complete is not None:
        yield Window(front_end.stack(front_end.normalize(complete)), 0, first=True, last=True)
        return
    total = statistics.frames // front_end.raw_per_frame
    kept = np.empty(front_end.shape(1, 0)[1:], dtype=np.float32)
    kept_from = start = 0
    for frames in _frames(blocks, front_end, statistics, transform):
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
    blocks: Blocks, front_end: FrontEnd, length: int, transform: Transform | None
) -> tuple[Statistics, Floats | None]:
    """Statistics of the whole recording, and its raw frames if they fit ``length`` input frames."""
    statistics = front_end.statistics()
    kept: list[Floats] = []
    samples = 0

    def counted() -> Iterator[Floats]:
        nonlocal samples
        for block in blocks():
            samples += block.size
            yield block

    for raw in front_end.raw(counted(), transform):
        statistics.add(raw)
        kept.append(raw)
        if statistics.frames // front_end.raw_per_frame > length:
            kept.clear()
    front_end.check_length(samples)
    fits = statistics.frames // front_end.raw_per_frame <= length
    return statistics, np.concatenate(kept) if fits else None


def _frames(
    blocks: Blocks, front_end: FrontEnd, statistics: Statistics, transform: Transform | None
) -> Iterator[Floats]:
    """The recording's input frames, normalized, block by block."""
    rest: Floats | None = None
    for raw in front_end.raw(blocks(), transform):
        normalized = statistics.normalize(raw)
        joined = normalized if rest is None else np.concatenate((rest, normalized))
        complete = len(joined) // front_end.raw_per_frame * front_end.raw_per_frame
        rest = joined[complete:]
        yield front_end.stack(joined[:complete])
