"""Calibration audio as a model's input, and what else a method needs that is not an option."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from .errors import QuantizationError

Inputs = tuple[Tensor, Tensor]
"""Inputs (1, T, …) float32 and lengths (1,) int64 in raw frames of one clip alone, which has no frames of padding."""

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps an iterable in a progress display: (items, description, total)."""


def silent(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
    """A ``Track`` without a display."""
    return items


@dataclass(frozen=True)
class CalibrationSet:
    """Real audio as model inputs, one clip at a time."""

    name: str
    sha256: str
    seconds: float
    clips: int
    inputs: Callable[[], Iterator[Inputs]] = field(repr=False)
    """Starts over with the first clip each time it is called."""
    prepared: str = ""
    """How inputs are computed from the audio: the front end and the longest clip."""

    def identity(self) -> str:
        """All that decides the inputs."""
        return f"{self.sha256} {self.clips} {self.seconds} {self.prepared}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a method works with beside the model and the options."""

    calibration: CalibrationSet | None = None
    journal: Path | None = None
    """Folder in which finished layers are kept, so that an interrupted quantization resumes."""
    track: Track = field(default=silent, repr=False)

    def need_calibration(self, method: str) -> CalibrationSet:
        """The calibration set. Raises QuantizationError where there is none."""
        if self.calibration is None:
            raise QuantizationError(f"{method} needs calibration audio; name it with --calibration")
        return self.calibration
