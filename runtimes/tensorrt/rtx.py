"""What TensorRT-RTX does where an engine runs: kernels compiled for the GPU, kept between starts; graphs of its own.

https://docs.nvidia.com/deeplearning/tensorrt-rtx: kernels for a new shape are compiled in the background while
general ones serve. A CUDA graph recorded by us would hold the general ones for ever; its own are renewed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ..errors import RuntimeLoadError


class RtxSettings:
    """How the contexts of one engine run; ``kept`` is the file of compiled kernels, None keeps none."""

    def __init__(self, trt: Any, engine: Any, kept: Path | None) -> None:
        self._kept = kept
        self._config = engine.create_runtime_config()
        self._config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache: Any = None
        if kept is None:
            return
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            known = kept.read_bytes() if kept.exists() else b""
        except OSError as error:
            raise RuntimeLoadError(
                f"{kept}: compiled kernels cannot be kept there ({error.strerror}); use --no-cache"
            ) from None
        self._cache = self._config.create_runtime_cache()
        if known:  # refused, and made anew, where GPU, driver or version have changed
            self._cache.deserialize(known)
        self._config.set_runtime_cache(self._cache)

    def context(self, engine: Any) -> Any:
        """A new execution context, None where there is no memory for it."""
        return engine.create_execution_context(self._config)

    def close(self) -> None:
        """Keep what was compiled."""
        compiled = None if self._kept is None else self._cache.serialize()
        if self._kept is not None and compiled is not None:  # None of a device that is lost
            partial = self._kept.with_name(f"{self._kept.name}.{os.getpid()}")
            with contextlib.suppress(OSError):  # a full disk costs the next start some seconds, no more
                partial.write_bytes(compiled)
                partial.replace(self._kept)
        self._cache = self._config = None
