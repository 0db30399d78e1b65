"""Options of the scheduler."""

from __future__ import annotations

from dataclasses import dataclass

BATCH_DEPENDENT_METHODS = frozenset({"dynamic", "llm-int8"})
"""Methods whose ranges are taken from the whole batch, so that a clip's neighbours would move its logits."""


@dataclass(frozen=True, kw_only=True)
class SchedulerOptions:
    """Limits and habits of the scheduler, for one model."""

    streams: int = 1
    """Groups that the engine runs at the same time."""
    deadline_seconds: float = 30.0
    """How long a request may wait for its first window to start."""
    max_requests: int = 256
    """Requests that are admitted at the same time."""
    max_queue_seconds: float = 14_400.0
    """Audio that is admitted at the same time."""
    max_recording_seconds: float = 7_200.0
    """Duration of the longest recording."""
    batch_seconds: float = 30.0
    """Audio of one group, including padding."""
    max_padding: float = 0.1
    """Largest share of padding in a group, 0 to 1."""
    gather_seconds: float = 0.004
    """How long an idle engine waits for windows that front ends are about to deliver."""
    stall_seconds: float = 60.0
    """An engine that finishes no group for so long hangs, and is replaced."""
    load_seconds: float = 600.0
    """A worker that is not ready after so long is given up."""
