"""TensorRT-RTX at run time: it compiles kernels for the GPU, which are kept on disk, and records its own graphs.

https://docs.nvidia.com/deeplearning/tensorrt-rtx: kernels for a new shape are compiled in the background, and generic
kernels run until then. A CUDA graph that we record would keep the generic kernels; TensorRT-RTX updates its own graphs.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Any

from ..errors import RuntimeLoadError


class RtxSettings:
    """Settings of one engine's contexts. ``kernels`` is the file of compiled kernels; None keeps none."""

    def __init__(self, trt: Any, engine: Any, kernels: Path | None) -> None:
        self._kernels = kernels
        self._config = engine.create_runtime_config()
        self._config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache: Any = None
        if kernels is None:
            return
        try:
            kernels.parent.mkdir(parents=True, exist_ok=True)
            stored = kernels.read_bytes() if kernels.exists() else b""
        except OSError as error:
            raise RuntimeLoadError(
                f"{kernels}: compiled kernels cannot be kept there ({error.strerror}); use --no-cache"
            ) from None
        self._cache = self._config.create_runtime_cache()
        if stored:  # TensorRT-RTX ignores kernels of another GPU, driver or version
            self._cache.deserialize(stored)
        self._config.set_runtime_cache(self._cache)

    def context(self, engine: Any) -> Any:
        """A new execution context; None if there is not enough memory."""
        return engine.create_execution_context(self._config)

    def close(self) -> None:
        """Store the compiled kernels."""
        compiled = None if self._kernels is None else self._cache.serialize()
        if self._kernels is not None and compiled is not None:  # None if the device was lost
            partial = self._kernels.with_name(f"{self._kernels.name}.{secrets.token_hex(4)}")
            with contextlib.suppress(OSError):  # without them the next start only takes longer
                partial.write_bytes(compiled)
                partial.replace(self._kernels)
        self._cache = self._config = None
