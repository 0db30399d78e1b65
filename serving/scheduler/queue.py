"""Windows that wait for an engine, and how groups of them are formed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ...audio import Floats
from ...runtimes.ctc.decoding import Frames


@dataclass(eq=False)
class WaitingWindow:
    """A window in the queue. ``result`` is done once an engine has run, or when nobody waits any more."""

    inputs: Floats
    deadline: float
    """When it should have started. The earliest goes first."""
    queued: float
    """When it was added."""
    result: asyncio.Future[Frames] = field(repr=False)
    alone: bool = False
    """It failed in a group, so it runs in one of its own."""

    @property
    def frames(self) -> int:
        """Its length in input frames."""
        return len(self.inputs)


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """What a group may be. Lengths are in input frames."""

    max_frames: int
    """Of all windows, each padded to the longest."""
    max_windows: int | None
    max_padding: float
    """Largest share of padding, 0 to 1."""


class WindowQueue:
    """Windows in the order of their deadlines."""

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self._waiting: list[WaitingWindow] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def frames(self) -> int:
        """Input frames of all waiting windows."""
        return sum(window.frames for window in self._waiting)

    def add(self, window: WaitingWindow) -> None:
        """Add a window."""
        self._waiting.append(window)

    def remove(self, window: WaitingWindow) -> bool:
        """Remove a window; False if it does not wait."""
        try:
            self._waiting.remove(window)
        except ValueError:
            return False
        return True

    def is_full_group(self) -> bool:
        """Whether no further window could join the next group."""
        group = self._group()
        if not group:
            return False
        longest = max(window.frames for window in group)
        at_most = self._grouping.max_windows
        full = at_most is not None and len(group) >= at_most
        return group[0].alone or full or longest * (len(group) + 1) > self._grouping.max_frames

    def take(self) -> list[WaitingWindow]:
        """Remove the next group: the first window, and those of like length that fit. Empty if none waits."""
        group = self._group()
        taken = set(map(id, group))
        self._waiting = [window for window in self._waiting if id(window) not in taken]
        return group

    def clear(self) -> list[WaitingWindow]:
        """Remove all windows."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _group(self) -> list[WaitingWindow]:
        if not self._waiting:
            return []
        first = min(self._waiting, key=lambda window: window.deadline)
        group = [first]
        if first.alone:
            return group
        others = [window for window in self._waiting if window is not first and not window.alone]
        longest = total = first.frames
        for window in sorted(others, key=lambda window: (abs(window.frames - first.frames), window.deadline)):
            longest = max(longest, window.frames)
            total += window.frames
            padded = longest * (len(group) + 1)
            at_most = self._grouping.max_windows
            if (
                (at_most is not None and len(group) >= at_most)
                or padded > self._grouping.max_frames
                or padded - total > self._grouping.max_padding * padded
            ):
                break
            group.append(window)
        return group
