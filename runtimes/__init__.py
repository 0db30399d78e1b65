"""Run an artifact: ``load(folder)`` and the model that it returns."""

from __future__ import annotations

from .engine import ENGINES, Engine, EngineOptions
from .errors import DeviceError, InferenceError, RuntimeLoadError, UnknownLevelError
from .model import Model, load
from .transcript import Group, LevelResult, Segment, Token, Transcript, select

__all__ = [
    "ENGINES",
    "DeviceError",
    "Engine",
    "EngineOptions",
    "Group",
    "InferenceError",
    "LevelResult",
    "Model",
    "RuntimeLoadError",
    "Segment",
    "Token",
    "Transcript",
    "UnknownLevelError",
    "load",
    "select",
]
