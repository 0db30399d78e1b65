"""From measured losses and an engine's costs to a problem for ``assign``, and from its choices to layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import nn

from ...models import CTCModel
from ..errors import QuantizationError
from ..layers.rewrite import quantizable
from .assign import Choice, Problem
from .error_rate import Measured
from .mixture import Mixture
from .table import Loss
from .units import Unit


def tables(
    all_units: Sequence[Unit],
    linears: Mapping[str, nn.Linear],
    losses: Mapping[tuple[str, str], Loss],
    mixture: Mixture,
) -> tuple[Problem, bool]:
    """The problem's tables, and whether times are in them."""
    shape = (len(all_units), len(mixture.formats))
    loss, size, seconds = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, unit in enumerate(all_units):
        for column, format_name in enumerate(mixture.formats):
            loss[row, column] = losses[unit.name, format_name].divergence if column else 0.0
            for layer in unit.layers:
                outputs, inputs = linears[layer].out_features, linears[layer].in_features
                size[row, column] += mixture.costs.layer_bytes(outputs, inputs, format_name)
                taken = mixture.costs.seconds(outputs, inputs, format_name)
                seconds[row, column] += math.nan if taken is None else taken
    timed = bool(np.isfinite(seconds).all())
    return Problem(loss, size, seconds if timed else np.zeros(shape)), timed


def fixed_bytes(model: CTCModel, chosen: Mapping[str, nn.Linear], mixture: Mixture) -> int:
    """Bytes of the artifact outside of the ``chosen`` Linears, whatever the budget."""
    others = [layer for name, layer in quantizable(model, ()) if name not in chosen]
    return mixture.costs.fixed_bytes(model) + sum(
        mixture.costs.layer_bytes(layer.out_features, layer.in_features, mixture.float_format) for layer in others
    )


def by_layer(all_units: Sequence[Unit], formats: Sequence[str], choice: Choice) -> dict[str, str]:
    """The format of every layer in a choice."""
    return {
        layer: formats[index] for unit, index in zip(all_units, choice.formats, strict=True) for layer in unit.layers
    }


def smallest_within(
    choices: Sequence[Choice],
    points: float,
    try_out: Callable[[Choice], Measured],
    measured: dict[int, Measured],
) -> int:
    """Index of the smallest choice that loses at most ``points``, by bisection; ``choices`` start with the largest.

    ``measured`` gets every measurement by index. Raises QuantizationError where no choice is within the budget.
    """

    def within(index: int) -> bool:
        measured[index] = try_out(choices[index])
        return measured[index].bound <= points

    if within(len(choices) - 1):
        return len(choices) - 1
    if not within(0):
        raise QuantizationError(
            f"nothing loses at most {points:g} points: the most accurate artifact of these formats loses "
            f"{measured[0].bound:.3f}, its standard error included"
        )
    good, bad = 0, len(choices) - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if within(middle) else (good, middle)
    return good
