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
    """A stretch of a recording."""

    raw: Floats
    """Raw frames (n, …) float32, normalized by the statistics of the whole recording."""
    start: int
    """Index of the first input frame among the recording's input frames."""
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
    """A recording in overlapping windows, cut between input frames. One that fits a window equals ``extract``.

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
        yield Window(front_end.normalize(complete), 0, first=True, last=True)
        return
    total, per_frame = front_end.frames(statistics.frames), front_end.raw_per_frame
    kept: Floats | None = None
    kept_from = start = 0
    for raw in front_end.raw(blocks(), transform):
        frames = statistics.normalize(raw)
        kept = frames if kept is None else np.concatenate((kept, frames))
        # The recording's last input frame may be incomplete.
        while min((start + length) * per_frame, statistics.frames) <= kept_from + len(kept):
            begin = start * per_frame - kept_from
            last = start + length >= total
            yield Window(kept[begin : begin + length * per_frame].copy(), start, first=start == 0, last=last)
            if last:
                return
            start = min(start + length - overlap, total - length)
        drop = max(0, start * per_frame - kept_from)
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
        if front_end.frames(statistics.frames) > length:
            kept.clear()
    front_end.check_length(samples)
    fits = front_end.frames(statistics.frames) <= length
    return statistics, np.concatenate(kept) if fits else None
