"""The seam between engines and everything above them, and the one table of engines."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifact
from ..errors import MissingExtraError
from .errors import RuntimeLoadError

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where and how an engine runs."""

    device: str = "cpu"
    threads: int | None = None
    """Threads of one inference; None leaves it to the engine."""


class Engine(Protocol):
    """A loaded artifact."""

    def infer(self, features: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Features (B, T, F) and lengths (B,) in frames to logits (B, T', V) per level. Raises InferenceError."""

    def close(self) -> None:
        """Release what the engine holds."""


class EngineModule(Protocol):
    """A module of this package that serves one engine."""

    def load(self, artifact: Artifact, options: EngineOptions) -> Engine:
        """Load the artifact. Raises RuntimeLoadError."""


@dataclass(frozen=True)
class EngineEntry:
    """A row of the table."""

    module: str
    library: str
    extra: str


ENGINES: dict[str, EngineEntry] = {
    "onnx": EngineEntry("onnx", "onnxruntime", "onnx"),
}


def load_engine(artifact: Artifact, options: EngineOptions) -> Engine:
    """Load an artifact into the engine that its manifest names.

    Raises RuntimeLoadError for an unknown engine, MissingExtraError where its library is not installed.
    """
    name = artifact.manifest.engine
    if name not in ENGINES:
        raise RuntimeLoadError(f"{artifact.folder}: needs the engine {name!r}; this qasr has {', '.join(ENGINES)}")
    entry = ENGINES[name]
    if importlib.util.find_spec(entry.library) is None:
        raise MissingExtraError(entry.library, entry.extra)
    module = cast(EngineModule, importlib.import_module(f".{entry.module}", __package__))
    return module.load(artifact, options)
