"""Run an artifact: ``load(folder)`` and the model that it returns."""

from __future__ import annotations

from .ctc.transcript import Group, LevelResult, Segment, Token, Transcript, select
from .engine import (
    CACHE,
    ENGINES,
    PRECISIONS,
    Engine,
    EngineOptions,
    available_cores,
    check,
    load_engine,
    obstacle,
)
from .errors import DeviceError, InferenceError, OptionError, RuntimeLoadError, UnknownLevelError
from .model import Model, front_end, load
from .stopwatch import Stopwatch

__all__ = [
    "CACHE",
    "ENGINES",
    "PRECISIONS",
    "DeviceError",
    "Engine",
    "EngineOptions",
    "Group",
    "InferenceError",
    "LevelResult",
    "Model",
    "OptionError",
    "RuntimeLoadError",
    "Segment",
    "Stopwatch",
    "Token",
    "Transcript",
    "UnknownLevelError",
    "available_cores",
    "check",
    "front_end",
    "load",
    "load_engine",
    "obstacle",
    "select",
]
