"""What layers cost in a TensorRT engine; times need its GPU, so there are none."""

from __future__ import annotations

from typing import Any

from ..target import Target

# Of the typed graph: names, shapes and nodes, measured on artifacts of the bundled model.
_GRAPH_BYTES = (60_000, 400_000)
# Of engines, which hold a program: 3.7 MB with products of one type, 7 MB with two. Layers share it.
_ENGINE_BYTES = (100_000, 7_500_000)


def graph_bytes(*, compiled: bool) -> tuple[int, int]:
    """Bytes beside the weights: for each block of the model, and for all the rest."""
    return _ENGINE_BYTES if compiled else _GRAPH_BYTES


def library() -> str:
    """None: nothing is measured."""
    return ""


def seconds(target: Target, layer: Any, rows: Any) -> float | None:
    """None."""
    return None
