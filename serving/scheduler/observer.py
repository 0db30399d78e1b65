"""What the scheduler reports, for metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class GroupReport:
    """A group that an engine has run."""

    windows: int
    audio_seconds: float
    padded_seconds: float
    """Audio that the engine computed: every window padded to the longest."""
    engine_seconds: float


class Observer(Protocol):
    """Receives reports of one model, in the event loop's thread."""

    def group(self, report: GroupReport) -> None:
        """A group is done."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage of a request took ``seconds``: front_end, queue, engine or decoding."""

    def lost(self, reason: str) -> None:
        """A worker hung (``hang``) or died (``death``)."""


class Silent:
    """Ignores all reports."""

    def group(self, report: GroupReport) -> None:
        """See ``Observer``."""

    def stage(self, name: str, seconds: float) -> None:
        """See ``Observer``."""

    def lost(self, reason: str) -> None:
        """See ``Observer``."""
