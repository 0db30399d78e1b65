"""The interface of engines, and the table of engines."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from packaging.version import InvalidVersion, Version

from ..artifacts import Artifact
from ..audio import Floats
from ..errors import MissingExtraError
from ..version import distribution, version_of
from .errors import CodeNotTrustedError, DeviceError, OptionError, RuntimeLoadError
from .options import EngineOptions

_WARM_UP_SECONDS = 0.64


class Engine(Protocol):
    """A loaded artifact."""

    def infer(self, inputs: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits (B, T', V) float32 by level.

        ``inputs`` (B, T, …) is a padded batch of the manifest's front end, ``lengths`` (B,) the clips' lengths in raw
        frames. May be called from as many threads as there are streams. Raises InferenceError.
        """

    def kernels(self) -> dict[str, int]:
        """Number of executed nodes by kernel, as the engine reports them, with their precision if it does.

        Call it once, after an inference of an engine that was loaded with ``profile``.
        """

    def close(self) -> None:
        """Release the model."""


class EngineModule(Protocol):
    """What the module of an engine provides."""

    def load(self, artifact: Artifact, options: EngineOptions) -> Engine:
        """Load the artifact. Raises RuntimeLoadError, DeviceError or OptionError."""

    def unsupported_reason(self, execution: Mapping[str, str]) -> str | None:
        """Why this machine cannot run a manifest's ``execution``; None if it can."""


@dataclass(frozen=True, kw_only=True)
class EngineEntry:
    """A row of the table."""

    module: str
    """Module of this package, with ``load`` and ``unsupported_reason``."""
    library: str
    """Module of the library that must be installed."""
    extra: str
    """The extra of qasr that installs the library."""
    runs_code: bool = False
    """Whether the model file is code."""

    @property
    def is_installed(self) -> bool:
        """Whether the engine's library is installed."""
        return importlib.util.find_spec(self.library) is not None

    def import_module(self) -> EngineModule:
        """Import the engine's module. Raises MissingExtraError."""
        if not self.is_installed:
            raise MissingExtraError(self.library, self.extra)
        return cast(EngineModule, importlib.import_module(f".{self.module}", __package__))


ENGINES: dict[str, EngineEntry] = {
    "onnx": EngineEntry(module="onnx.engine", library="onnxruntime", extra="onnx"),
    "openvino": EngineEntry(module="openvino.engine", library="openvino", extra="openvino"),
    "torchscript": EngineEntry(module="torchscript", library="torch", extra="torch", runs_code=True),
    "hf": EngineEntry(module="hf.engine", library="transformers", extra="lowbit"),
    "torch": EngineEntry(module="torch_program", library="torch", extra="torch", runs_code=True),
    "tensorrt": EngineEntry(module="tensorrt.engine", library="cuda", extra="tensorrt"),
}


def load_engine(artifact: Artifact, options: EngineOptions) -> Engine:
    """Load an artifact into the engine that its manifest names.

    Raises CodeNotTrustedError for code without ``options.trust_code``, RuntimeLoadError for an unknown engine or one
    that cannot load the artifact, DeviceError and OptionError for options that are not supported, and MissingExtraError
    if the engine's library is not installed.
    """
    name = artifact.manifest.engine
    if name not in ENGINES:
        raise RuntimeLoadError(f"{artifact.folder}: needs the engine {name!r}; this qasr has {', '.join(ENGINES)}")
    entry = ENGINES[name]
    if entry.runs_code and not options.trust_code:
        raise CodeNotTrustedError(artifact.folder, name)
    if entry.runs_code and not artifact.verified:
        raise RuntimeLoadError(
            f"{artifact.folder}: its model file is code, and its hash was not checked; leave --no-verify out"
        )
    module = entry.import_module()
    requested = {} if options.precision is None else {"precision": options.precision}
    reason = module.unsupported_reason(artifact.manifest.execution | requested)
    if reason is not None:
        raise RuntimeLoadError(f"{artifact.folder}: {reason}")
    try:
        return module.load(artifact, options)
    except (DeviceError, OptionError):
        raise
    except RuntimeLoadError as error:
        advice = _upgrade_advice(artifact, entry.library)
        if advice is None:
            raise
        raise RuntimeLoadError(f"{error}; {advice}") from None


def unsupported_reason(engine: str, execution: Mapping[str, str]) -> str | None:
    """Why this machine cannot run artifacts of ``engine`` with a manifest's ``execution``; None if it can."""
    entry = ENGINES[engine]
    if not entry.is_installed:
        return f"{entry.library} is not installed, pip install 'qasr[{entry.extra}]'"
    return entry.import_module().unsupported_reason(execution)


def check_signature(artifact: Artifact, path: Path, inputs: Collection[str], widths: Mapping[str, int]) -> None:
    """Compare a model file with the manifest: names of its inputs, and the width of its output for every level.

    Raises RuntimeLoadError if they differ.
    """
    names = artifact.manifest.front_end.input_names
    if set(inputs) != set(names):
        raise RuntimeLoadError(f"{path}: takes {', '.join(inputs)}, not {' and '.join(names)}; export it again")
    expected = {level: len(vocabulary.tokens) for level, vocabulary in artifact.manifest.levels.items()}
    if widths != expected:
        raise RuntimeLoadError(
            f"{path}: its outputs ({_listed(widths)}) are not the manifest's levels ({_listed(expected)}); "
            "export it again"
        )


def named_widths(artifact: Artifact, widths: Collection[int]) -> dict[str, int]:
    """Output widths by level for ``check_signature``, for engines whose outputs have an order and no names."""
    levels = list(artifact.manifest.levels)
    names = [*levels, *(f"output {index}" for index in range(len(levels), len(widths)))]
    return dict(zip(names, widths, strict=False))


def warm_up_inputs(artifact: Artifact) -> tuple[Floats, NDArray[np.int64]]:
    """Inputs (1, T, …) of zeros, and their length (1,), for the first inference of an engine."""
    manifest = artifact.manifest
    frames = max(round(_WARM_UP_SECONDS * manifest.front_end.frames_per_second), manifest.limits.min_frames)
    if manifest.limits.max_frames is not None:
        frames = min(frames, manifest.limits.max_frames)
    lengths = np.array([frames * manifest.front_end.raw_per_frame])
    return np.zeros(manifest.front_end.shape(1, frames), np.float32), lengths


def _upgrade_advice(artifact: Artifact, library: str) -> str | None:
    """Advice for an artifact that was exported by a newer release of ``library`` than the installed one."""
    exported = artifact.manifest.toolchain.get(library)
    if exported is None:
        return None
    current = version_of(library)
    try:
        # Without local parts such as +cpu.
        if Version(Version(exported).public) <= Version(Version(current).public):
            return None
    except InvalidVersion:
        return None
    return f"it was exported by {library} {exported}, newer than {current} here: pip install -U {distribution(library)}"


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {width}" for name, width in widths.items())
