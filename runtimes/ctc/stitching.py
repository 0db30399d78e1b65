"""Windows of long audio joined at the logits, where both neighbours hear nothing."""

from __future__ import annotations

import numpy as np

from .decoding import Frames

# Near its edge a window lacks context; a quarter of the overlap on either side is left alone.
_MARGIN = 0.25


def cut_frame(left: Frames, right: Frames) -> int:
    """Frame of the overlap from which ``right`` serves; both cover the same frames.

    The one where it is likeliest, to both, that every level is blank: a token on one side of it then lies wholly there,
    and is neither doubled nor lost. Of equals, the one nearest to the middle.
    """
    frames = len(left)
    margin = int(frames * _MARGIN)
    score = (left.blank + right.blank)[margin : frames - margin].astype(np.float64)
    score -= 1e-6 * np.abs(np.arange(score.size) - score.size / 2)
    return margin + int(score.argmax())


class Stitcher:
    """Takes windows in order and joins them; it keeps a few bytes a frame and level, never logits."""

    def __init__(self) -> None:
        self._parts: list[Frames] = []
        self._pending: Frames | None = None
        self._pending_start = 0

    def add(self, window: Frames, start: int) -> None:
        """Take in a window whose first frame is frame ``start`` of the whole."""
        if self._pending is None:
            self._pending, self._pending_start = window, start
            return
        # The last window may reach back beyond the previous cut; what lies before that is settled.
        settled = max(0, self._pending_start - start)
        window, start = window.part(settled, len(window)), start + settled
        overlap = self._pending_start + len(self._pending) - start
        if not 0 < overlap <= len(window):
            raise ValueError(f"a window at frame {start} does not overlap its predecessor")
        before = len(self._pending) - overlap
        cut = cut_frame(self._pending.part(before, len(self._pending)), window.part(0, overlap))
        self._parts.append(self._pending.part(0, before + cut))
        self._pending, self._pending_start = window.part(cut, len(window)), start + cut

    def join(self) -> Frames:
        """All frames."""
        parts = [*self._parts, *([self._pending] if self._pending is not None else [])]
        return Frames(
            np.concatenate([part.best for part in parts], axis=1),
            np.concatenate([part.confidence for part in parts], axis=1),
            np.concatenate([part.blank for part in parts]),
        )
