"""How a TensorRT engine is built. It can be read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from ...gpu.tensorrt import Flavour
from ..errors import RequestError


@dataclass(frozen=True, kw_only=True)
class TensorRTOptions:
    """Build options of TensorRT engines."""

    flavour: Flavour | None = None
    """Which TensorRT; None takes TensorRT itself where it and a GPU are available, else TensorRT-RTX."""
    compute_capabilities: tuple[str, ...] = ()
    """GPUs to build for, as ``8.9``; none: the one in this machine, or all that TensorRT-RTX puts into one engine."""
    min_seconds: float = 0.02
    opt_seconds: float = 10.0
    max_seconds: float = 30.0
    """Lengths of clips: the shortest, the one to tune for, the longest; longer recordings go through in windows."""
    max_batch: int = 8
    workspace_bytes: int | None = None
    """Device memory that the engine may use beside its weights; None sets no limit."""
    onnx_only: bool = False
    """Stop at the typed graph, to build the engine elsewhere."""

    def check(self) -> None:
        """Raise RequestError for lengths that are out of order."""
        seconds = (self.min_seconds, self.opt_seconds, self.max_seconds)
        if not 0 < seconds[0] <= seconds[1] <= seconds[2]:
            values = ", ".join(f"{value:g}" for value in seconds)
            raise RequestError(
                f"need 0 < --min-seconds ≤ --opt-seconds ≤ --max-seconds, got {values}", option="--min-seconds"
            )
