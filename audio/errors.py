"""Errors of audio and front ends."""

from __future__ import annotations

from typing import Any, Self

from ..errors import QasrError


class AudioError(QasrError, ValueError):
    """Audio that cannot be read, or is too short to transcribe.

    ``problem`` says what is wrong and what to do. ``source`` names the recording; None where the code that found the
    problem saw samples only.
    """

    def __init__(self, problem: str, source: str | None = None) -> None:
        super().__init__(problem if source is None else f"{source}: {problem}")
        self.problem = problem
        self.source = source

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.source)

    def named(self, source: str) -> Self:
        """The same error with the name of the recording."""
        return type(self)(self.problem, source)


class AudioNotFoundError(AudioError, FileNotFoundError):
    """The audio file does not exist."""


class FrontEndError(QasrError, ValueError):
    """Feature settings of a checkpoint that qasr does not support."""
