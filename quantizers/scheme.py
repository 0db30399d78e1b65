"""Schemes: how one layer's weights, input and output are represented. Methods choose them, exporters read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class WeightScheme:
    """Integers q and scales s with weight = q · s, per output channel where ``group_size`` is None.

    ``two_level``: the scale of a group is that of its channel times an integer, so that 4-bit weights are 8-bit
    integers too, and engines multiply them as such.
    """

    bits: int = 8
    symmetric: bool = True
    group_size: int | None = None
    two_level: bool = False
    values: Literal["int", "nf4", "e4m3"] = "int"
    """Meaning of a code: an integer, one of the 16 values of NF4, or an 8-bit float with 4 bits of exponent."""
    float_zero_points: bool = False
    """Zero points may lie between the codes."""

    def __str__(self) -> str:
        text = self.values if self.values != "int" else f"int{self.bits}" if self.symmetric else f"uint{self.bits}"
        return text if self.group_size is None else f"{text} in groups of {self.group_size}"


INT8 = WeightScheme()
"""One symmetric scale per output channel."""


@dataclass(frozen=True)
class ActivationScheme:
    """How a layer's input or output is represented, per tensor.

    ``none``: float. ``dynamic``: uint8 with a range taken from each input. ``grouped``: int8, symmetric, with a range
    taken from each group of each frame. ``static``: uint8 with a range fixed by calibration.
    """

    mode: Literal["none", "dynamic", "grouped", "static"] = "none"
    bits: int = 8
    values: Literal["int", "e4m3"] = "int"

    def __str__(self) -> str:
        if self.mode == "none":
            return "float"
        if self.values != "int":
            return f"{self.mode} {self.values}"
        return f"{self.mode} {'int' if self.mode == 'grouped' else 'uint'}{self.bits}"


@dataclass(frozen=True)
class Scheme:
    """The scheme of one layer."""

    weight: WeightScheme = INT8
    activation: ActivationScheme = ActivationScheme()
    output: ActivationScheme = ActivationScheme()

    def __str__(self) -> str:
        text = f"{self.weight} weights, {self.activation} input"
        return text if self.output.mode == "none" else f"{text}, {self.output} output"
