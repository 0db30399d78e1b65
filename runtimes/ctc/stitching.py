"""Joins windows of long audio where both windows predict blanks."""

from __future__ import annotations

import numpy as np

from .decoding import Frames

# Near its edges a window lacks context, so it is not cut in the outer quarters of the overlap.
_MARGIN = 0.25


def cut_frame(left: Frames, right: Frames) -> int:
    """Index of the frame from which ``right`` replaces ``left``; both cover the same frames.

    It is the frame where both together give the highest probability that every level is blank. A token then lies
    completely on one side, so none is doubled or lost. Ties go to the frame nearest to the middle.
    """
    frames = len(left)
    margin = int(frames * _MARGIN)
    score = (left.blank + right.blank)[margin : frames - margin].astype(np.float64)
    score -= 1e-6 * np.abs(np.arange(score.size) - score.size / 2)
    return margin + int(score.argmax())


class Stitcher:
    """Joins windows that are added in order. It keeps 8 bytes for each frame and level, never logits."""

    def __init__(self) -> None:
        self._parts: list[Frames] = []
        self._pending: Frames | None = None
        self._pending_start = 0

    def add(self, window: Frames, start: int) -> None:
        """Add a window. ``start`` is the index of its first frame in the recording."""
        if self._pending is None:
            self._pending, self._pending_start = window, start
            return
        # The last window may begin before the previous cut, whose frames are final.
        final = max(0, self._pending_start - start)
        window, start = window.part(final, len(window)), start + final
        overlap = self._pending_start + len(self._pending) - start
        if not 0 < overlap <= len(window):
            raise ValueError(f"a window at frame {start} does not overlap its predecessor")
        before = len(self._pending) - overlap
        cut = cut_frame(self._pending.part(before, len(self._pending)), window.part(0, overlap))
        self._parts.append(self._pending.part(0, before + cut))
        self._pending, self._pending_start = window.part(cut, len(window)), start + cut

    def final(self) -> Frames | None:
        """The frames from the start that no further window changes; None if there are none yet."""
        return _joined(self._parts) if self._parts else None

    def join(self) -> Frames:
        """All frames of the recording."""
        return _joined([*self._parts, *([self._pending] if self._pending is not None else [])])


def _joined(parts: list[Frames]) -> Frames:
    return Frames(
        np.concatenate([part.best for part in parts], axis=1),
        np.concatenate([part.confidence for part in parts], axis=1),
        np.concatenate([part.blank for part in parts]),
    )
