"""What a search or a map is told, and what a layer costs in each format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...models import DeployableCTC

SENSITIVITY, MAP = "sensitivity", "map"
"""Names of the two techniques."""

FLOAT = "float"
"""What every target's own float may be called."""


class Costs(Protocol):
    """What an engine needs for layers of a format."""

    def layer_bytes(self, outputs: int, inputs: int, form: str) -> int:
        """Bytes of a Linear's weights, scales, zero points and bias in the artifact."""

    def fixed_bytes(self, model: DeployableCTC) -> int:
        """Bytes of all else in the artifact, files of the checkpoint included."""

    def seconds(self, outputs: int, inputs: int, form: str) -> float | None:
        """Time of one Linear on this machine; None where the engine cannot be measured here."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The formats that a target can express, and how layers get theirs."""

    formats: tuple[str, ...]
    """The target's float first, then from most to fewest bits."""
    budget_points: float | None = None
    """The smallest that loses at most so much of the first level's error rate, in points (hundredths)."""
    budget_bytes: int | None = None
    """The most accurate whose artifact is not larger."""
    layers: Mapping[str, str] | None = None
    """Glob to format; the first that matches a layer wins. None where a budget decides."""
    costs: Costs
    blank: int = 0
    """The id of the first level's CTC blank."""
    labels: tuple[tuple[int, ...], ...] | None = None
    """What is said in each calibration clip, as ids of the first level; None where that is not known."""
    cache: Path
    """Folder in which measurements are kept, so that a search that was killed goes on from there."""

    @property
    def float_format(self) -> str:
        """What layers are that nothing quantizes."""
        return self.formats[0]
