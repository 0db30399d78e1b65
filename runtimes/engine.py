"""The seam between engines and everything above them, and the one table of engines."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifact
from ..errors import MissingExtraError
from ..version import distribution, version_of
from .errors import DeviceError, OptionError, RuntimeLoadError

Floats = NDArray[np.float32]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qasr"
"""Where compiled models are kept, unless told otherwise."""

PRECISIONS = ("fp32", "bf16", "fp16")
"""What an engine can be asked to compute float operators in."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where and how an engine runs. An engine that cannot do what is asked says so: OptionError."""

    device: str = "cpu"
    threads: int | None = None
    """Threads of one inference; None leaves it to the engine."""
    streams: int | None = None
    """Inferences side by side, among which the threads are divided; None leaves it to the engine."""
    precision: str | None = None
    """One of ``PRECISIONS`` for the float operators; None takes what the artifact was made for."""
    cache: Path | None = None
    """Folder for compiled models; None keeps none."""
    trust_code: bool = False
    """Run code in the artifact: TorchScript and programs of torch.export."""
    profile: bool = False
    """Gather what ``Engine.kernels`` reports; costs time."""


class Engine(Protocol):
    """A loaded artifact."""

    def infer(self, features: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Features (B, T, F) and lengths (B,) in frames to logits (B, T', V) per level. Raises InferenceError."""

    def kernels(self) -> dict[str, int]:
        """What the engine executes, as it reports itself: kernel (and its precision) to number of nodes.

        Only after an inference of an engine that was loaded with ``profile``; ends the profiling.
        """

    def close(self) -> None:
        """Release what the engine holds."""


class EngineModule(Protocol):
    """A module of this package that serves one engine."""

    def load(self, artifact: Artifact, options: EngineOptions) -> Engine:
        """Load the artifact. Raises RuntimeLoadError or OptionError."""

    def obstacle(self, execution: Mapping[str, str]) -> str | None:
        """Why this machine cannot run what a manifest's ``execution`` asks for, or None."""


@dataclass(frozen=True)
class EngineEntry:
    """A row of the table."""

    module: str
    library: str
    extra: str

    def missing(self) -> str | None:
        """The engine's library where it is not installed."""
        return self.library if importlib.util.find_spec(self.library) is None else None

    def load(self) -> EngineModule:
        """The engine's module. Raises MissingExtraError."""
        if self.missing():
            raise MissingExtraError(self.library, self.extra)
        return cast(EngineModule, importlib.import_module(f".{self.module}", __package__))


ENGINES: dict[str, EngineEntry] = {
    "onnx": EngineEntry("onnx.engine", "onnxruntime", "onnx"),
    "openvino": EngineEntry("openvino.engine", "openvino", "openvino"),
    "torchscript": EngineEntry("torchscript", "torch", "torch"),
    "hf": EngineEntry("hf.engine", "transformers", "lowbit"),
    "torch": EngineEntry("torch_program", "torch", "torch"),
    "tensorrt": EngineEntry("tensorrt.engine", "cuda", "tensorrt"),
}


def load_engine(artifact: Artifact, options: EngineOptions) -> Engine:
    """Load an artifact into the engine that its manifest names.

    Raises OptionError for options that this machine cannot give, RuntimeLoadError for an unknown engine or one that
    cannot load the artifact, MissingExtraError where its library is not installed.
    """
    check(options)
    name = artifact.manifest.engine
    if name not in ENGINES:
        raise RuntimeLoadError(f"{artifact.folder}: needs the engine {name!r}; this qasr has {', '.join(ENGINES)}")
    entry = ENGINES[name]
    module = entry.load()
    asked = {} if options.precision is None else {"precision": options.precision}
    reason = module.obstacle(artifact.manifest.execution | asked)
    if reason is not None:
        raise RuntimeLoadError(f"{artifact.folder}: {reason}")
    try:
        return module.load(artifact, options)
    except (DeviceError, OptionError):
        raise
    except RuntimeLoadError as error:
        newer = _newer(artifact, entry.library)
        if newer is None:
            raise
        raise RuntimeLoadError(f"{error}; {newer}") from None


def check(options: EngineOptions) -> None:
    """Raise OptionError for what no engine on this machine can give."""
    cores = available_cores()
    for name, value in (("threads", options.threads), ("streams", options.streams)):
        if value is not None and not 1 <= value <= cores:
            raise OptionError(f"{name} must lie between 1 and the {cores} cores of this machine, not {value}")
    if options.precision is not None and options.precision not in PRECISIONS:
        raise OptionError(f"no precision {options.precision!r}; there are {', '.join(PRECISIONS)}")


def check_signature(artifact: Artifact, path: Path, inputs: Collection[str], widths: Mapping[str, int]) -> None:
    """Refuse a model file whose inputs and output widths are not the manifest's. Raises RuntimeLoadError."""
    if set(inputs) != {"features", "lengths"}:
        raise RuntimeLoadError(f"{path}: takes {', '.join(inputs)}, not features and lengths; export it again")
    expected = {level: len(vocabulary.tokens) for level, vocabulary in artifact.manifest.levels.items()}
    if widths != expected:
        raise RuntimeLoadError(
            f"{path}: its outputs ({_listed(widths)}) are not the manifest's levels ({_listed(expected)}); "
            "export it again"
        )


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def obstacle(engine: str, execution: Mapping[str, str]) -> str | None:
    """Why this machine cannot run artifacts of ``engine`` set up as ``execution`` says, or None."""
    entry = ENGINES[engine]
    if entry.missing():
        return f"{entry.library} is not installed, pip install 'qasr[{entry.extra}]'"
    return entry.load().obstacle(execution)


def _newer(artifact: Artifact, library: str) -> str | None:
    """What to say where the artifact was built by a newer release of ``library`` than the one installed here."""
    built = artifact.manifest.toolchain.get(library)
    if built is None:
        return None
    here = version_of(library)
    if _release(built) <= _release(here):
        return None
    return f"it was built by {library} {built}, newer than {here} here: pip install -U {distribution(library)}"


def _release(version: str) -> tuple[int, ...]:
    parts = version.partition("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {width}" for name, width in widths.items())
