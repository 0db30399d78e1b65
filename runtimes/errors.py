"""Errors between an artifact and a transcript."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import QasrError


class RuntimeLoadError(QasrError):
    """An artifact that its engine cannot load on this machine."""


class CodeNotTrustedError(RuntimeLoadError):
    """An artifact whose model file is code, loaded without ``trust_code``."""

    def __init__(self, folder: Path, engine: str) -> None:
        super().__init__(
            f"{folder}: its model file ({engine}) is code, which could do anything that you can do; if you trust the "
            "people who made this artifact, add --trust-code (trust_code=True in Python)"
        )
        self.folder = folder
        self.engine = engine

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.engine)


class OptionError(RuntimeLoadError, ValueError):
    """An option that this machine, or the artifact's engine, does not support."""


class DeviceError(RuntimeLoadError):
    """A device that this machine, or this build of the engine, does not have."""


class InferenceError(QasrError):
    """An engine that failed on an input, or computed logits that are not finite."""


class RecordingTypeError(QasrError, TypeError):
    """Something other than a recording given to ``transcribe``."""

    def __init__(self, actual: str, expected: str) -> None:
        super().__init__(f"cannot transcribe {actual}; give {expected}")
        self.actual = actual
        self.expected = expected

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.actual, self.expected)


class UnknownLevelError(QasrError, ValueError):
    """A level that the artifact does not have."""

    def __init__(self, level: str, available: Sequence[str]) -> None:
        near = get_close_matches(level, available, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"available are {', '.join(available)}"
        super().__init__(f"no level {level!r}; {hint}")
        self.level = level
        self.available = tuple(available)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.level, self.available)
