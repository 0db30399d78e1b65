"""What can go wrong between an artifact and a transcript."""

from __future__ import annotations

from ..errors import QasrError


class RuntimeLoadError(QasrError):
    """An artifact that its engine cannot load here."""


class OptionError(RuntimeLoadError, ValueError):
    """An option that this machine, or the artifact's engine, cannot give."""


class DeviceError(RuntimeLoadError):
    """A device that this machine, or this engine's build, does not have."""


class InferenceError(QasrError):
    """An engine that failed on an input, or gave logits that are no numbers."""


class UnknownLevelError(QasrError, ValueError):
    """A level that the artifact does not have."""


def last_line(error: Exception) -> str:
    """What torch says at the end, below the trace of its own code; the error's kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1]
