"""What a user can ask of targets called …-mixed. It can be read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UnknownTargetError
from .target import Target

SENSITIVITY, MAP = "sensitivity", "map"
"""The techniques of these targets."""


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """What decides the format of each layer, for targets called …-mixed: one of these, or the default budget."""

    budget_points: float | None = None
    """The smallest artifact that loses at most so much of the first level's error rate.  [default: 0.1 points]"""
    budget_bytes: int | None = None
    """The most accurate artifact that is not larger."""
    precision_map: str | None = None
    """Name of a preset, or path of a YAML file that maps globs of layers to formats."""

    @property
    def said(self) -> list[str]:
        """What was asked for, as options are called on the command line."""
        names = {
            "budget-per": self.budget_points,
            "budget-size": self.budget_bytes,
            "precision-map": self.precision_map,
        }
        return [f"--{name}" for name, value in names.items() if value is not None]


def method(goal: Target, name: str | None, mixing: Mixing) -> str | None:
    """The technique for ``goal``, which a map implies; UnknownTargetError for options that contradict each other."""
    if mixing.said and not goal.formats:
        raise UnknownTargetError(f"{mixing.said[0]} is for targets called …-mixed alone")
    if len(mixing.said) > 1:
        raise UnknownTargetError(f"{' and '.join(mixing.said)} exclude each other: one thing decides the formats")
    implied = MAP if mixing.precision_map is not None else SENSITIVITY
    if goal.formats and name not in (None, implied):
        told = "needs --precision-map" if name == MAP else "takes no --precision-map"
        if name in (MAP, SENSITIVITY):
            raise UnknownTargetError(f"the method {name} {told}")
    return goal.method(implied if goal.formats and name is None else name)
