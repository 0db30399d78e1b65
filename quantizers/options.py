"""What the quantized layers of a model shall be: resolved and complete, with nothing left to choose. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .scheme import INT8, WeightScheme

OBSERVERS = ("minmax", "percentile", "mse")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """How the ranges of activations are fixed on calibration audio."""

    observer: Literal["minmax", "percentile", "mse"] = "minmax"
    percentile: float = 99.99
    """Of ``percentile``: the share of values within the range, in percent."""
    symmetric: bool = False
    """As far down as up, for engines without zero points."""

    def __str__(self) -> str:
        return f"percentile {self.percentile:g}" if self.observer == "percentile" else self.observer


@dataclass(frozen=True, kw_only=True)
class SmoothQuantOptions:
    """Options of ``smoothquant``."""

    strength: float | None = None
    """How much of the activations' spread moves into the weights, 0 to 1; None searches it by layer."""


@dataclass(frozen=True, kw_only=True)
class GPTQOptions:
    """Options of ``gptq``, also where mixed precision uses it."""

    damping: float = 0.01
    """Added to the diagonal of a Hessian, as a part of its mean."""
    activation_order: bool = True
    """Inputs with the largest squares are rounded first."""


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """How the layers of a model are quantized."""

    weight: WeightScheme = INT8
    bits_by_layer: Mapping[str, int] = field(default_factory=dict)
    """Layers with other bits than ``weight`` has, by name."""
    bits_budget: float | None = None
    """Mean bits per weight: the layers that lose most get twice the bits of ``weight``. None: all the same."""
    activation: Literal["none", "grouped", "static"] = "none"
    """Inputs of layers with grouped weights: float, int8 by group, or uint8 with calibrated ranges."""
    outputs: bool = False
    """Static layers round their outputs too."""
    exclude: tuple[str, ...] = ()
    """Globs of the layers that stay in float: all of them, the family's defaults included."""
    ranges: Ranges = Ranges()
    smoothquant: SmoothQuantOptions = SmoothQuantOptions()
    gptq: GPTQOptions = GPTQOptions()

    def weight_of(self, name: str) -> WeightScheme:
        """The weight scheme of the layer called ``name``."""
        return replace(self.weight, bits=self.bits_by_layer.get(name, self.weight.bits))
