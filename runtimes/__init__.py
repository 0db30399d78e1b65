"""Run an artifact: ``load(folder)`` and the model that it returns."""

from __future__ import annotations

from .cores import available_cores
from .ctc.transcript import Group, LevelResult, Segment, Token, Transcript, check_levels, chosen_levels, select
from .engine import ENGINES, Engine, EngineEntry, load_engine, unsupported_reason
from .errors import (
    CodeNotTrustedError,
    DeviceError,
    InferenceError,
    OptionError,
    RecordingTypeError,
    RuntimeLoadError,
    UnknownLevelError,
)
from .loading import CACHE, find_transform, load
from .model import Model
from .options import PRECISIONS, EngineOptions, check
from .recordings import Recording, Source
from .steps import Steps, Transcription
from .stopwatch import Stopwatch

__all__ = [
    "CACHE",
    "ENGINES",
    "PRECISIONS",
    "CodeNotTrustedError",
    "DeviceError",
    "Engine",
    "EngineEntry",
    "EngineOptions",
    "Group",
    "InferenceError",
    "LevelResult",
    "Model",
    "OptionError",
    "Recording",
    "RecordingTypeError",
    "RuntimeLoadError",
    "Segment",
    "Source",
    "Steps",
    "Stopwatch",
    "Token",
    "Transcript",
    "Transcription",
    "UnknownLevelError",
    "available_cores",
    "check",
    "check_levels",
    "chosen_levels",
    "find_transform",
    "load",
    "load_engine",
    "select",
    "unsupported_reason",
]
