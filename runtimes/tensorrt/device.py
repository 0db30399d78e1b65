"""Copies arrays to the GPU and back: reused buffers, pinned host memory, and CUDA graphs of repeated work.

Uses the documented CUDA runtime: https://docs.nvidia.com/cuda/cuda-runtime-api. All calls go through one object,
cuda-python's ``cuda.bindings.runtime``, which tests replace.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...gpu.cuda import check
from ...gpu.errors import GpuError

_GRAPHS = 16
"""Number of shapes whose graphs are kept. Recordings of similar length are batched, so shapes repeat."""


class Session:
    """A GPU and a stream on it."""

    def __init__(self, runtime: Any, index: int) -> None:
        self.runtime = runtime
        self._index = index
        self.enter()
        self.stream = self.call("cudaStreamCreate")

    def enter(self) -> None:
        """Select the GPU for the calling thread, as CUDA requires."""
        self.call("cudaSetDevice", self._index)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime. Raises GpuError with its name if it fails."""
        return check(getattr(self.runtime, name)(*arguments), name)

    def close(self) -> None:
        """Release the stream."""
        self.call("cudaStreamDestroy", self.stream)


@dataclass
class _Buffer:
    """Device memory and pinned host memory of the same size, as large as the largest array so far."""

    device: int = 0
    host: int = 0
    size: int = 0


class Stage:
    """Runs an execution context on arrays. Buffers are reused; repeated shapes are replayed as graphs.

    ``graphs`` is off for contexts that record graphs themselves.
    """

    def __init__(
        self, session: Session, context: Any, inputs: Sequence[str], outputs: Sequence[str], *, graphs: bool = True
    ) -> None:
        self._session, self._context = session, context
        self._inputs, self._outputs = list(inputs), list(outputs)
        self._buffers = {name: _Buffer() for name in (*inputs, *outputs)}
        self._graphs: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._seen: set[tuple[tuple[int, ...], ...]] = set()
        self._max_graphs = _GRAPHS if graphs else 0

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """The context's outputs, float32, for the inputs ``arrays``. Raises GpuError."""
        self._session.enter()
        context = self._context
        shapes = tuple(arrays[name].shape for name in self._inputs)
        for name in self._inputs:
            if not context.set_input_shape(name, arrays[name].shape):
                raise GpuError(f"{name} {arrays[name].shape} is outside the range that the engine was built for")
        output_shapes = {name: tuple(context.get_tensor_shape(name)) for name in self._outputs}
        sizes = {name: arrays[name].nbytes for name in self._inputs}
        sizes |= {name: int(np.prod(shape)) * np.dtype(np.float32).itemsize for name, shape in output_shapes.items()}
        if self._grow(sizes):
            self._forget_graphs()  # they refer to the old addresses
        for name, buffer in self._buffers.items():
            context.set_tensor_address(name, buffer.device)
        for name in self._inputs:
            ctypes.memmove(self._buffers[name].host, arrays[name].ctypes.data, arrays[name].nbytes)
        self._launch(shapes, sizes)
        return {name: self._copy_of(name, output_shapes[name]) for name in self._outputs}

    def close(self) -> None:
        """Release graphs and memory."""
        self._forget_graphs()
        for buffer in self._buffers.values():
            self._release(buffer)
        del self._context

    def _launch(self, shapes: tuple[tuple[int, ...], ...], sizes: Mapping[str, int]) -> None:
        call, stream = self._session.call, self._session.stream
        graph = self._graphs.get(shapes)
        if graph is None and shapes in self._seen and len(self._graphs) < self._max_graphs:
            # The first run of a shape may allocate and compile, which must not happen while a graph is recorded.
            call(
                "cudaStreamBeginCapture",
                stream,
                self._session.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeRelaxed,
            )
            try:
                self._enqueue(sizes)
            finally:
                recorded = call("cudaStreamEndCapture", stream)
            graph = self._graphs[shapes] = call("cudaGraphInstantiate", recorded, 0)
            call("cudaGraphDestroy", recorded)
        if graph is None:
            self._enqueue(sizes)
        else:
            call("cudaGraphLaunch", graph, stream)
        self._seen.add(shapes)
        call("cudaStreamSynchronize", stream)

    def _enqueue(self, sizes: Mapping[str, int]) -> None:
        kinds = self._session.runtime.cudaMemcpyKind
        for name in self._inputs:
            buffer = self._buffers[name]
            self._copy(buffer.device, buffer.host, sizes[name], kinds.cudaMemcpyHostToDevice)
        if not self._context.execute_async_v3(self._session.stream):
            raise GpuError("TensorRT did not start the engine")
        for name in self._outputs:
            buffer = self._buffers[name]
            self._copy(buffer.host, buffer.device, sizes[name], kinds.cudaMemcpyDeviceToHost)

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        self._session.call("cudaMemcpyAsync", target, source, size, kind, self._session.stream)

    def _grow(self, sizes: Mapping[str, int]) -> bool:
        """Make every buffer large enough; returns whether any had to grow."""
        small = [name for name, size in sizes.items() if size > self._buffers[name].size]
        for name in small:
            buffer = self._buffers[name]
            self._release(buffer)
            buffer.device = self._session.call("cudaMalloc", sizes[name])
            buffer.host = self._session.call("cudaMallocHost", sizes[name])
            buffer.size = sizes[name]
        return bool(small)

    def _release(self, buffer: _Buffer) -> None:
        if buffer.size:
            self._session.call("cudaFree", buffer.device)
            self._session.call("cudaFreeHost", buffer.host)
            buffer.size = 0

    def _forget_graphs(self) -> None:
        for graph in self._graphs.values():
            self._session.call("cudaGraphExecDestroy", graph)
        self._graphs.clear()
        self._seen.clear()

    def _copy_of(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A copy of the content of the pinned buffer."""
        view = (ctypes.c_float * int(np.prod(shape))).from_address(self._buffers[name].host)
        return np.ctypeslib.as_array(view).reshape(shape).copy()
