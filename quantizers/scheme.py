"""Schemes: how one layer's weights, input and output are represented. Techniques fill them in, exporters read them."""

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
    """How a layer's input or output is represented, per tensor.

    ``none``: float. ``dynamic``: uint8 with a range taken from each input. ``static``: uint8 with a range fixed by
    calibration.
    """

    mode: Literal["none", "dynamic", "static"] = "none"
    bits: int = 8

    def __str__(self) -> str:
        return "float" if self.mode == "none" else f"{self.mode} uint{self.bits}"


@dataclass(frozen=True)
class Scheme:
    """The scheme of one layer."""

    weight: WeightScheme = WeightScheme()
    activation: ActivationScheme = ActivationScheme()
    output: ActivationScheme = ActivationScheme()

    def __str__(self) -> str:
        text = f"int{self.weight.bits} weights, {self.activation} input"
        return text if self.output.mode == "none" else f"{text}, {self.output} output"
