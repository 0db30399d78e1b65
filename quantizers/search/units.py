"""Units of mixed precision: a Linear, or all Linears of a module where a model is deep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Each unit and format costs a pass over all clips.
_MOST_LINEARS = 100


@dataclass(frozen=True)
class Unit:
    """Linears that get one format together; ``layers`` are their dotted names, all in one stage."""

    name: str
    layers: tuple[str, ...]


def units(names: Iterable[str], stages: Mapping[str, int]) -> tuple[Unit, ...]:
    """The units of the Linears called ``names``: one each, or beyond 100 Linears one per module.

    ``stages``: the stage of the forward pass that each Linear runs in. A module's Linears in different stages are
    different units.
    """
    chosen = list(names)
    if len(chosen) <= _MOST_LINEARS:
        return tuple(Unit(name, (name,)) for name in chosen)
    groups: dict[tuple[str, int], list[str]] = {}
    for name in chosen:
        groups.setdefault((name.rpartition(".")[0] or name, stages[name]), []).append(name)
    parents = [parent for parent, _ in groups]
    return tuple(
        Unit(parent if parents.count(parent) == 1 else layers[0], tuple(layers))
        for (parent, _), layers in groups.items()
    )
