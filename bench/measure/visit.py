"""One visit to an artifact: a child process that is started, loads, does the steps of its plan, and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..results import Visit
from .child import WORKER, Child, ChildError
from .device import DevicePeak
from .messages import Ended, Loaded, Measured, Plan, Transcripts, Written


@dataclass(frozen=True)
class Life:
    """What a child said; an answer for each step of its plan."""

    visit: Visit
    answers: tuple[Transcripts | Written | Measured, ...]


def visit(plan: Plan, *, cold: bool, timeout_seconds: float, log: Path, command: Sequence[str] = WORKER) -> Life:
    """Run the plan in a fresh process. Raises ChildError for everything but a clean end with all answers."""
    loaded: Loaded | None = None
    ended: Ended | None = None
    answers: list[Transcripts | Written | Measured] = []
    with (
        Child(plan, timeout_seconds=timeout_seconds, log=log, command=command) as child,
        DevicePeak(child.pid) as device,
    ):
        for answer in child.answers():
            if isinstance(answer, Loaded):
                loaded = answer
            elif isinstance(answer, Ended):
                ended = answer
            elif isinstance(answer, Transcripts | Written | Measured):
                answers.append(answer)
    if loaded is None or ended is None or len(answers) != len(plan.steps):
        raise ChildError(f"gave {len(answers)} answers to {len(plan.steps)} steps")
    figures = Visit(
        round=plan.round,
        threads=plan.threads,
        cold=cold,
        interpreter_seconds=loaded.interpreter_seconds,
        import_seconds=loaded.import_seconds,
        read_seconds=loaded.read_seconds,
        compile_seconds=loaded.compile_seconds,
        first_seconds=loaded.first_seconds,
        peak_rss_bytes=ended.peak_rss_bytes,
        peak_device_bytes=device.bytes,
    )
    return Life(figures, tuple(answers))
