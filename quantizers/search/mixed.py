"""The two techniques: formats by a map, and formats found for a budget.

The layers of every format are made once, each in a model that has that format throughout; an assignment picks from
them. So what is measured is what is exported, and a choice costs no more than its transcripts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields

import numpy as np
from torch import nn

from ...models import DeployableCTC
from ..technique import CalibrationSet, Options, QuantizationError, model_hash, quantizable, replace
from .assign import Choice, Problem, frontier, most_accurate
from .formats import make
from .ledger import Ledger
from .mixture import MAP, SENSITIVITY, Mixture
from .precision_map import formats_by_layer
from .table import HEARD, Loss, Passed, measure, windows
from .units import Unit, units
from .whole import Measured, Whole


@dataclass(frozen=True)
class Point:
    """A choice on the frontier: bytes of the whole artifact."""

    choice: Choice
    bytes: int
    measured: Measured | None


@dataclass(frozen=True)
class Found:
    """All that a search has found."""

    units: tuple[Unit, ...]
    formats: tuple[str, ...]
    losses: Mapping[tuple[str, str], Loss]
    """By unit and format; none for the float."""
    problem: Problem
    points: tuple[Point, ...]
    """The frontier, the largest first."""
    chosen: Point
    labelled: bool
    """Whether error rates are against labels."""
    timed: bool
    """Whether the engine's times could be measured."""

    def by_layer(self) -> dict[str, str]:
        """The format of every layer that had a choice."""
        return _by_layer(self.units, self.formats, self.chosen.choice)


def by_map(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Give every Linear the format that the map names, float where it is excluded. Raises QuantizationError."""
    mixture, calibration = _told(options, calibration)
    excluded = _excluded(options)
    formats = formats_by_layer(model, mixture, excluded)
    quantized = {name: form for name, form in formats.items() if form != mixture.float_format}
    if not quantized:
        raise QuantizationError("the precision map leaves every layer in float; there are targets for that")
    twins = {
        form: make(model, form, options, calibration, [name for name in formats if formats[name] != form])
        for form in dict.fromkeys(quantized.values())
    }
    _install(model, twins, quantized)
    model.notes |= {"exclude": list(excluded), "weights": "by layer", "formats": formats}
    return model


def _excluded(options: Options) -> tuple[str, ...]:
    """The globs of ``exclude`` less the defaults, which stand first: a map may name the first and the last layer."""
    count = len(Options().exclude)
    return options.exclude[count:] if options.exclude[:count] == Options().exclude else options.exclude


def by_sensitivity(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Give every Linear the format that the budget leaves it; see ``find_mixture``."""
    found, twins = _search(model, options, calibration)
    formats = found.by_layer()
    _install(model, twins, formats)
    mixture, chosen = options.mixture, found.chosen
    assert mixture is not None
    assert chosen.measured is not None
    budget = {"points": mixture.budget_points} if mixture.budget_bytes is None else {"bytes": mixture.budget_bytes}
    model.notes |= {
        "weights": "by layer",
        "formats": formats,
        "budget": budget,
        "predicted": {"divergence": float(f"{chosen.choice.loss:.4g}"), "bytes": chosen.bytes},
        "measured": {
            "points": round(chosen.measured.points, 4),
            "standard_error": round(chosen.measured.error, 4),
            "disagreement_points": round(chosen.measured.disagreement, 4),
            "against": "labels" if found.labelled else "transcripts of the float model",
        },
    }
    return model


def find_mixture(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> Found:
    """The frontier of formats, and the choice that the budget of ``options.mixture`` leaves; the model stays as it is.

    What each layer loses in each format is measured alone (``table``) and kept on disk; sums of it, and the bytes that
    the engine needs, go into an integer program (``assign``). Divergences add up, error rates of a few thousand symbols
    do not: so a budget of points is met by measuring choices on all calibration audio (``whole``). Raises
    QuantizationError for a budget that nothing meets, with the nearest that can be had.
    """
    return _search(model, options, calibration)[0]


def _search(
    model: DeployableCTC, options: Options, calibration: CalibrationSet | None
) -> tuple[Found, dict[str, DeployableCTC]]:
    mixture, calibration = _told(options, calibration)
    linears = dict(quantizable(model, options.exclude))
    journal = options.journal or mixture.cache / "layers"
    told = replace_fields(options, journal=journal)
    twins = {name: make(model, name, told, calibration, options.exclude) for name in mixture.formats[1:]}
    identity = (
        model_hash(model),
        calibration.identity(),
        repr(options.exclude),
        _identity(options),
        str(mixture.blank),
    )
    whole = Whole(
        model,
        twins,
        calibration,
        mixture,
        Ledger(mixture.cache, (*identity, "whole", repr(mixture.labels))),
        options.track,
    )
    if mixture.budget_bytes is None:
        whole.check(mixture.budget_points or 0.0)
    ledgers = {name: Ledger(mixture.cache, (*identity, HEARD, name)) for name in twins}
    all_units = units(linears)
    passed = Passed(model, windows(model, calibration), mixture.blank)
    losses = measure(passed, twins, all_units, ledgers, options.track)
    del passed
    problem, timed = _problem(all_units, linears, losses, mixture)
    fixed = mixture.costs.fixed_bytes(model) + _left_alone(model, linears, mixture)
    choices = frontier(problem)
    measured: dict[int, Measured] = {}

    def try_out(choice: Choice) -> Measured:
        return whole.measure(_by_layer(all_units, mixture.formats, choice))

    if mixture.budget_bytes is not None:
        choice = most_accurate(problem, mixture.budget_bytes - fixed)
        if choice is None:
            raise QuantizationError(
                f"nothing fits into {_megabytes(mixture.budget_bytes)}: the smallest that these formats give has "
                f"{_megabytes(choices[-1].bytes + fixed)}"
            )
        chosen = Point(choice, choice.bytes + fixed, try_out(choice))
    else:
        place = _bisect(choices, mixture.budget_points or 0.0, try_out, measured)
        chosen = Point(choices[place], choices[place].bytes + fixed, measured[place])
    points = [Point(choice, choice.bytes + fixed, measured.get(place)) for place, choice in enumerate(choices)]
    return Found(all_units, mixture.formats, losses, problem, tuple(points), chosen, whole.labelled, timed), twins


def _bisect(choices: Sequence[Choice], budget: float, try_out: object, measured: dict[int, Measured]) -> int:
    """The smallest choice that loses no more than ``budget`` points; ``measured`` gets what was tried on the way."""

    def holds(place: int) -> bool:
        measured[place] = try_out(choices[place])  # type: ignore[operator]
        return measured[place].bound <= budget

    if holds(len(choices) - 1):
        return len(choices) - 1
    if not holds(0):
        raise QuantizationError(
            f"nothing loses at most {budget:g} points: the most accurate that these formats give loses "
            f"{measured[0].bound:.3f}, its standard error included"
        )
    good, bad = 0, len(choices) - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def _problem(
    all_units: Sequence[Unit],
    linears: Mapping[str, nn.Linear],
    losses: Mapping[tuple[str, str], Loss],
    mixture: Mixture,
) -> tuple[Problem, bool]:
    """The tables, and whether times are in them."""
    shape = (len(all_units), len(mixture.formats))
    loss, size, seconds = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, unit in enumerate(all_units):
        for column, name in enumerate(mixture.formats):
            loss[row, column] = losses[unit.name, name].divergence if column else 0.0
            for layer in unit.layers:
                place = (linears[layer].out_features, linears[layer].in_features, name)
                size[row, column] += mixture.costs.layer_bytes(*place)
                taken = mixture.costs.seconds(*place)
                seconds[row, column] += math.nan if taken is None else taken
    timed = bool(np.isfinite(seconds).all())
    return Problem(loss, size, seconds if timed else np.zeros(shape)), timed


def _left_alone(model: DeployableCTC, chosen: Mapping[str, nn.Linear], mixture: Mixture) -> int:
    """Bytes of the Linears that are float whatever the budget."""
    others = [layer for name, layer in quantizable(model, ()) if name not in chosen]
    return sum(
        mixture.costs.layer_bytes(layer.out_features, layer.in_features, mixture.float_format) for layer in others
    )


def _by_layer(all_units: Sequence[Unit], formats: Sequence[str], choice: Choice) -> dict[str, str]:
    return {
        layer: formats[place] for unit, place in zip(all_units, choice.formats, strict=True) for layer in unit.layers
    }


def _install(model: DeployableCTC, twins: Mapping[str, DeployableCTC], formats: Mapping[str, str]) -> None:
    for name, form in formats.items():
        if form in twins:
            replace(model, name, twins[form].get_submodule(name))


def _told(options: Options, calibration: CalibrationSet | None) -> tuple[Mixture, CalibrationSet]:
    if options.mixture is None:
        raise QuantizationError(f"the methods {SENSITIVITY} and {MAP} are for targets called …-mixed")
    if calibration is None:
        raise QuantizationError("mixed precision needs calibration audio; name it with --calibration")
    return options.mixture, calibration


def _identity(options: Options) -> str:
    """What decides the layers of each format."""
    return repr(
        (options.identity(), options.observer, options.percentile, options.symmetric_inputs, options.activation)
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
