"""Options of mixed precision, and the costs of a layer in each format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...models import CTCModel

SENSITIVITY, MAP = "sensitivity", "map"
"""Names of the two methods of mixed precision."""

FLOAT = "float"
"""Another name for any target's own float format."""


class Costs(Protocol):
    """Size and time of layers in an engine."""

    def layer_bytes(self, outputs: int, inputs: int, format: str, /) -> int:
        """Bytes of a Linear's weights, scales, zero points and bias in the artifact."""

    def fixed_bytes(self, model: CTCModel) -> int:
        """Bytes of everything else in the artifact, files of the checkpoint included."""

    def seconds(self, outputs: int, inputs: int, format: str, /) -> float | None:
        """Time of one Linear on this machine; None where the engine cannot be measured here."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The formats of a target, and how layers get theirs."""

    formats: tuple[str, ...]
    """The target's float first, then from most to fewest bits."""
    budget_points: float | None = None
    """The smallest artifact whose first level loses at most this much error rate, in points (hundredths)."""
    budget_bytes: int | None = None
    """The most accurate artifact that is not larger."""
    layers: Mapping[str, str] | None = None
    """Glob to format; the first that matches a layer decides. None where a budget decides."""
    costs: Costs
    blank: int = 0
    """Id of the first level's CTC blank."""
    labels: tuple[tuple[int, ...], ...] | None = None
    """Ids of the first level's label of each calibration clip; None where clips are not labelled."""
    cache: Path
    """Folder in which measurements are kept, so that an interrupted search resumes."""

    @property
    def float_format(self) -> str:
        """Format of layers that are not quantized."""
        return self.formats[0]
