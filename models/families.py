"""The table of model families: the one place where they are listed."""

from __future__ import annotations

import importlib
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
