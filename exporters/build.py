"""How an engine is built from a graph: options, shapes, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kernels.tensorrt import Flavour


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of targets that are compiled."""

    flavour: Flavour | None = None
    """Which TensorRT; None takes TensorRT itself where there are it and a GPU, else TensorRT-RTX."""
    compute_capabilities: tuple[str, ...] = ()
    """GPUs to build for, as ``8.9``; none: the one in this machine, or all that TensorRT-RTX carries in one engine."""
    min_seconds: float = 0.02
    opt_seconds: float = 10.0
    max_seconds: float = 30.0
    """Lengths of clips: the shortest, the one to tune for, the longest; longer recordings go through in windows."""
    max_batch: int = 8
    workspace_bytes: int | None = None
    """Device memory that the engine may use beside its weights; None sets no limit."""
    onnx_only: bool = False
    """Stop at the typed graph, to build the engine elsewhere."""


@dataclass(frozen=True)
class Shapes:
    """The optimization profile: features are (batch, frames, feature size)."""

    min_frames: int
    opt_frames: int
    max_frames: int
    max_batch: int
    feature_size: int


@dataclass(frozen=True)
class Compiled:
    """What the manifest says of an engine."""

    execution: dict[str, str]
    kernels: dict[str, int] = field(default_factory=dict)
    """What the built engine will execute, read back from it; empty where it does not say."""
    runs_here: bool = False
    """Whether this machine has a GPU for it, so that the engine itself can be verified."""
