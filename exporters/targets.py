"""The table of targets: each engine's rows, in one dictionary. It can be read without torch."""

from __future__ import annotations

import importlib
from difflib import get_close_matches

from .errors import UnknownTargetError
from .target import Target

ENGINES = ("onnx", "openvino", "torchscript", "hf", "tensorrt", "torch")
"""Folders of this package: each has its rows in ``targets.TARGETS`` and its writer in ``writer``."""


def _rows(engine: str) -> tuple[Target, ...]:
    rows: tuple[Target, ...] = importlib.import_module(f".{engine}.targets", __package__).TARGETS
    return rows


TARGETS: dict[str, Target] = {row.name: row for engine in ENGINES for row in _rows(engine)}


def find(name: str) -> Target:
    """The target called ``name``. Raises UnknownTargetError with the nearest names."""
    if name in TARGETS:
        return TARGETS[name]
    raise UnknownTargetError(name, get_close_matches(name, TARGETS, n=3), list(TARGETS))
