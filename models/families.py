"""The only table of model families."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from .architecture import Architecture

FAMILIES = ("wav2vec2_bert",)
"""Folders of this package."""


def architectures() -> tuple[Architecture, ...]:
    """The record of every family."""
    modules = (importlib.import_module(f".{name}", __package__) for name in FAMILIES)
    return tuple(cast(Architecture, module.ARCHITECTURE) for module in modules)


def find(model_type: object) -> Architecture | None:
    """The family whose ``config.json`` has ``model_type``; None where there is none."""
    return next((one for one in architectures() if model_type in one.model_types), None)


def supported() -> tuple[str, ...]:
    """Every ``model_type`` that has a family."""
    return tuple(model_type for family in architectures() for model_type in family.model_types)


def find_random(name: str) -> tuple[Architecture, Callable[[Path], None]] | None:
    """The family of ``random:<name>`` and what writes its checkpoint; None where there is none."""
    for family in architectures():
        if name in family.random:
            return family, family.random[name]
    return None
