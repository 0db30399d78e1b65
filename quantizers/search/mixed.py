"""Mixed precision: formats from a map, or formats chosen for a budget.

The layers of every format are quantized once, each in a variant of the model that has that format throughout; an
assignment picks from them. So the layers that are measured are those that are exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import Any

from ...models import CTCModel
from ...models.stages import linear_stages
from ..calibration import Work
from ..errors import QuantizationError
from ..layers.rewrite import quantizable, replace
from ..options import Quantization
from ..storage import model_hash
from . import error_rate, formats, table
from .assign import Choice, Problem, frontier, most_accurate
from .error_rate import ErrorRates, Measured
from .ledger import Ledger
from .mixture import Mixture
from .precision_map import formats_by_layer
from .problem import by_layer, fixed_bytes, smallest_within, tables
from .table import FloatPass, Loss, measure, windows
from .units import Unit, units


@dataclass(frozen=True)
class Point:
    """A choice on the frontier; ``bytes`` are those of the whole artifact."""

    choice: Choice
    bytes: int
    measured: Measured | None


@dataclass(frozen=True)
class MixtureSearch:
    """The result of a search."""

    units: tuple[Unit, ...]
    formats: tuple[str, ...]
    losses: Mapping[tuple[str, str], Loss]
    """By unit and format; the float format has none."""
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
        return by_layer(self.units, self.formats, self.chosen.choice)


def quantize_mixed(
    model: CTCModel, quantization: Quantization, mixture: Mixture, work: Work, *, by_map: bool
) -> dict[str, Any]:
    """Give every Linear the format that the map names, or that the budget allows; the model changes in place.

    ``quantization.exclude``: with a map the user's globs, which come before the map; with a budget also the family's
    float layers. Returns the manifest's ``options`` as plain JSON. Raises QuantizationError.
    """
    work.need_calibration("mixed precision")
    chosen = (
        _from_map(model, quantization, mixture, work) if by_map else _from_budget(model, quantization, mixture, work)
    )
    return {"exclude": list(quantization.exclude), "weights": "by layer", **chosen}


def find_mixture(model: CTCModel, quantization: Quantization, mixture: Mixture, work: Work) -> MixtureSearch:
    """The frontier of formats, and the choice for the mixture's budget; the model stays unchanged.

    The loss of each layer in each format is measured alone (``table``) and kept on disk; sums of losses, and the bytes
    that the engine needs, go into an integer program (``assign``). Divergences add up, error rates of a few thousand
    symbols do not: so a budget of points is met by measuring choices on all calibration audio (``error_rate``). Raises
    QuantizationError for a budget that nothing meets, with the nearest possible one.
    """
    return _search(model, quantization, mixture, work)[0]


def _from_map(model: CTCModel, quantization: Quantization, mixture: Mixture, work: Work) -> dict[str, Any]:
    assigned = formats_by_layer(model, mixture, quantization.exclude)
    quantized = {name: format_name for name, format_name in assigned.items() if format_name != mixture.float_format}
    if not quantized:
        raise QuantizationError("the precision map leaves every layer in float; there are targets for that")
    variants = {
        format_name: formats.in_format(
            model, format_name, quantization, work, [name for name in assigned if assigned[name] != format_name]
        )
        for format_name in dict.fromkeys(quantized.values())
    }
    _install(model, variants, quantized)
    return {"formats": assigned}


def _from_budget(model: CTCModel, quantization: Quantization, mixture: Mixture, work: Work) -> dict[str, Any]:
    result, variants = _search(model, quantization, mixture, work)
    assigned, chosen = result.by_layer(), result.chosen
    _install(model, variants, assigned)
    assert chosen.measured is not None
    budget = {"points": mixture.budget_points} if mixture.budget_bytes is None else {"bytes": mixture.budget_bytes}
    return {
        "formats": assigned,
        "budget": budget,
        "predicted": {"divergence": float(f"{chosen.choice.loss:.4g}"), "bytes": chosen.bytes},
        "measured": {
            "points": round(chosen.measured.points, 4),
            "standard_error": round(chosen.measured.error, 4),
            "disagreement_points": round(chosen.measured.disagreement, 4),
            "against": "labels" if result.labelled else "transcripts of the float model",
        },
    }


def _search(
    model: CTCModel, quantization: Quantization, mixture: Mixture, work: Work
) -> tuple[MixtureSearch, dict[str, CTCModel]]:
    calibration = work.need_calibration("mixed precision")
    linears = dict(quantizable(model, quantization.exclude))
    stages = {name: linear.stage for name, linear in linear_stages(model).items()}
    journaled = replace_fields(work, journal=work.journal or mixture.cache / "layers")
    exclude = quantization.exclude
    variants = {name: formats.in_format(model, name, quantization, journaled, exclude) for name in mixture.formats[1:]}
    identity = (model_hash(model), calibration.identity(), formats.identity(quantization), str(mixture.blank))
    of_rates = Ledger(mixture.cache, (*identity, f"rates {error_rate.ALGORITHM_VERSION}", repr(mixture.labels)))
    rates = ErrorRates(model, variants, list(calibration.inputs()), mixture, of_rates, work.track)
    if mixture.budget_bytes is None:
        rates.check(mixture.budget_points or 0.0)
    ledgers = {name: Ledger(mixture.cache, (*identity, table.identity(), name)) for name in variants}
    all_units = units(linears, stages)
    float_pass = FloatPass(model, stages, windows(model, calibration), mixture.blank)
    losses = measure(float_pass, variants, all_units, ledgers, work.track)
    del float_pass
    problem, timed = tables(all_units, linears, losses, mixture)
    fixed = fixed_bytes(model, linears, mixture)
    choices = frontier(problem)
    measured: dict[int, Measured] = {}

    def try_out(choice: Choice) -> Measured:
        return rates.measure(by_layer(all_units, mixture.formats, choice))

    if mixture.budget_bytes is not None:
        choice = most_accurate(problem, mixture.budget_bytes - fixed)
        if choice is None:
            raise QuantizationError(
                f"nothing fits into {_megabytes(mixture.budget_bytes)}: the smallest artifact of these formats has "
                f"{_megabytes(choices[-1].bytes + fixed)}"
            )
        chosen = Point(choice, choice.bytes + fixed, try_out(choice))
    else:
        index = smallest_within(choices, mixture.budget_points or 0.0, try_out, measured)
        chosen = Point(choices[index], choices[index].bytes + fixed, measured[index])
    points = tuple(Point(choice, choice.bytes + fixed, measured.get(index)) for index, choice in enumerate(choices))
    return MixtureSearch(all_units, mixture.formats, losses, problem, points, chosen, rates.labelled, timed), variants


def _install(model: CTCModel, variants: Mapping[str, CTCModel], assigned: Mapping[str, str]) -> None:
    for name, format_name in assigned.items():
        if format_name in variants:
            replace(model, name, variants[format_name].get_submodule(name))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
