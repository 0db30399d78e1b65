"""What gets a format as one: a Linear, or all Linears of a sub-block where a model is deep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Each unit and format costs a pass over all clips.
_MOST_LINEARS = 100


@dataclass(frozen=True)
class Unit:
    """``layers`` are dotted names of Linears within one conformer layer, or outside of all."""

    name: str
    layers: tuple[str, ...]


def units(names: Iterable[str]) -> tuple[Unit, ...]:
    """The units of the Linears called ``names``: each its own, or those of one module together beyond 100 of them."""
    chosen = list(names)
    if len(chosen) <= _MOST_LINEARS:
        return tuple(Unit(name, (name,)) for name in chosen)
    rooms = dict.fromkeys(name.rpartition(".")[0] or name for name in chosen)
    return tuple(Unit(room, _inside(room, chosen)) for room in rooms)


def _inside(room: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if (name.rpartition(".")[0] or name) == room)
