"""Schemes: how one layer's weights and input are represented. Techniques fill them in, exporters read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class WeightScheme:
    """Integers q and scales s with weight = q · s, per output channel where ``group_size`` is None."""

    bits: int = 8
    symmetric: bool = True
    group_size: int | None = None


@dataclass(frozen=True)
class ActivationScheme:
    """How the layer's input is represented, per tensor.

    ``none``: float. ``dynamic``: uint8 with a range taken from each input. ``static``: uint8 with a range fixed by
    calibration.
    """

    mode: Literal["none", "dynamic", "static"] = "none"
    bits: int = 8


@dataclass(frozen=True)
class Scheme:
    """The scheme of one layer."""

    weight: WeightScheme
    activation: ActivationScheme

    def __str__(self) -> str:
        activation = "float" if self.activation.mode == "none" else f"{self.activation.mode} uint{self.activation.bits}"
        return f"int{self.weight.bits} weights, {activation} input"
