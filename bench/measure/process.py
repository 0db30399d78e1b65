"""One child process from start to exit: loads an artifact, performs the steps of its plan, ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..results import ProcessRun
from .child import WORKER, Child, ChildError
from .device import DevicePeak
from .messages import Ended, Loaded, Measured, Plan, Transcripts, Written


@dataclass(frozen=True)
class ProcessResult:
    """The figures of a child process, and one answer for each step of its plan."""

    run: ProcessRun
    answers: tuple[Transcripts | Written | Measured, ...]


def run_process(
    plan: Plan, *, cold: bool, timeout_seconds: float, log: Path, command: Sequence[str] = WORKER
) -> ProcessResult:
    """Execute the plan in a fresh process. Raises ChildError unless the process ends cleanly with all answers."""
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
        raise ChildError(f"sent {len(answers)} answers to {len(plan.steps)} steps")
    figures = ProcessRun(
        round=plan.round,
        threads=plan.threads,
        cold=cold,
        interpreter_seconds=loaded.interpreter_seconds,
        import_seconds=loaded.import_seconds,
        read_seconds=loaded.read_seconds,
        compile_seconds=loaded.compile_seconds,
        first_inference_seconds=loaded.first_inference_seconds,
        peak_rss_bytes=ended.peak_rss_bytes,
        peak_device_bytes=device.bytes,
    )
    return ProcessResult(figures, tuple(answers))
