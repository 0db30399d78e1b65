"""Arrays to the GPU and back: buffers that are kept, pinned host memory, and CUDA graphs of work that repeats.

Only what CUDA documents: https://docs.nvidia.com/cuda/cuda-runtime-api. The calls go through one object, cuda-python's
``cuda.bindings.runtime``, so that tests can stand in for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels.cuda import check
from ...kernels.errors import GpuError

_GRAPHS = 16
"""Shapes whose graphs are kept; recordings of like length are batched, so shapes repeat."""


class Session:
    """A GPU and a stream on it."""

    def __init__(self, runtime: Any, index: int) -> None:
        self.runtime = runtime
        self._index = index
        self.enter()
        self.stream = self.call("cudaStreamCreate")

    def enter(self) -> None:
        """Make the GPU the calling thread's: CUDA keeps that by thread."""
        self.call("cudaSetDevice", self._index)

    def call(self, name: str, *arguments: Any) -> Any:
        """One call of the CUDA runtime; GpuError with its name where it fails."""
        return check(getattr(self.runtime, name)(*arguments), name)

    def close(self) -> None:
        """Release the stream."""
        self.call("cudaStreamDestroy", self.stream)


@dataclass
class _Buffer:
    """Memory on the device and its pinned twin on the host, as large as the largest array so far."""

    device: int = 0
    host: int = 0
    size: int = 0


class Stage:
    """Runs an execution context on arrays. Buffers grow and stay; a shape that comes again is replayed as a graph.

    Without ``graphs`` where the context makes its own.
    """

    def __init__(
        self, session: Session, context: Any, inputs: Sequence[str], outputs: Sequence[str], *, graphs: bool = True
    ) -> None:
        self._session, self._context = session, context
        self._inputs, self._outputs = list(inputs), list(outputs)
        self._buffers = {name: _Buffer() for name in (*inputs, *outputs)}
        self._graphs: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._seen: set[tuple[tuple[int, ...], ...]] = set()
        self._most_graphs = _GRAPHS if graphs else 0

    def run(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """The context's outputs for ``given`` inputs, each float32. Raises GpuError."""
        self._session.enter()
        context = self._context
        shapes = tuple(given[name].shape for name in self._inputs)
        for name in self._inputs:
            if not context.set_input_shape(name, given[name].shape):
                raise GpuError(f"{name} {given[name].shape} lies outside of what the engine was built for")
        wanted = {name: tuple(context.get_tensor_shape(name)) for name in self._outputs}
        sizes = {name: given[name].nbytes for name in self._inputs}
        sizes |= {name: int(np.prod(shape)) * np.dtype(np.float32).itemsize for name, shape in wanted.items()}
        if self._make_room(sizes):
            self._forget_graphs()  # they hold the old addresses
        for name, buffer in self._buffers.items():
            context.set_tensor_address(name, buffer.device)
        for name in self._inputs:
            ctypes.memmove(self._buffers[name].host, given[name].ctypes.data, given[name].nbytes)
        self._launch(shapes, sizes)
        return {name: self._taken(name, wanted[name]) for name in self._outputs}

    def close(self) -> None:
        """Release graphs and memory."""
        self._forget_graphs()
        for buffer in self._buffers.values():
            self._release(buffer)
        del self._context

    def _launch(self, shapes: tuple[tuple[int, ...], ...], sizes: Mapping[str, int]) -> None:
        call, stream = self._session.call, self._session.stream
        graph = self._graphs.get(shapes)
        if graph is None and shapes in self._seen and len(self._graphs) < self._most_graphs:
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

    def _make_room(self, sizes: Mapping[str, int]) -> bool:
        """Whether any buffer had to grow."""
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

    def _taken(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A copy of what lies in the pinned buffer."""
        view = (ctypes.c_float * int(np.prod(shape))).from_address(self._buffers[name].host)
        return np.ctypeslib.as_array(view).reshape(shape).copy()
