"""A CUDA runtime and a TensorRT in this process's memory: what the engine asks of them, and in which order."""

from __future__ import annotations

import ctypes
import json
from types import SimpleNamespace

import numpy as np

OK = 0


class FakeCuda:
    """Copies at once, or notes them down while a graph is recorded; knows which memory is still held."""

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="to device", cudaMemcpyDeviceToHost="to host")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeRelaxed="relaxed")
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor="major", cudaDevAttrComputeCapabilityMinor="minor"
    )

    def __init__(self, capability=(8, 9), devices=1, fail=None, status=2):
        self.capability, self.devices, self.fail, self.status = capability, devices, fail, status
        self.calls = []
        self.memory = {}
        self.recording = None
        self.graphs = set()

    def __getattr__(self, name):
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append(name)
            if name == self.fail:
                return (Status(self.status),)
            values = getattr(self, f"_{name}", lambda *_: ())(*arguments)
            return (Status(OK), *values)

        return call

    def _cudaGetDeviceCount(self):
        return (self.devices,)

    def _cudaDeviceGetAttribute(self, attribute, index):
        return (self.capability[0 if attribute == "major" else 1],)

    def _cudaStreamCreate(self):
        return ("stream",)

    def _cudaMalloc(self, size):
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = block
        return (ctypes.addressof(block),)

    _cudaMallocHost = _cudaMalloc

    def _cudaFree(self, address):
        del self.memory[address]
        return ()

    _cudaFreeHost = _cudaFree

    def do(self, work):
        """Now, or as part of the graph that is being recorded."""
        work() if self.recording is None else self.recording.append(work)

    def _cudaMemcpyAsync(self, target, source, size, kind, stream):
        assert stream == "stream"
        self.do(lambda: ctypes.memmove(target, source, size))
        return ()

    def _cudaStreamBeginCapture(self, stream, mode):
        self.recording = []
        return ()

    def _cudaStreamEndCapture(self, stream):
        recorded, self.recording = tuple(self.recording), None
        return (recorded,)

    def _cudaGraphInstantiate(self, recorded, flags):
        self.graphs.add(recorded)
        return (recorded,)

    def _cudaGraphLaunch(self, graph, stream):
        assert graph in self.graphs
        for work in graph:
            work()
        return ()

    def _cudaGraphExecDestroy(self, graph):
        self.graphs.remove(graph)
        return ()


class Status(int):
    @property
    def name(self):
        return {0: "cudaSuccess", 2: "cudaErrorMemoryAllocation", 46: "cudaErrorDevicesUnavailable"}[self]


class FakeTrt:
    """An engine whose outputs are sums of the features up to each clip's length, times the position of the class."""

    __version__ = "1.7.1"
    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
    LayerInformationFormat = SimpleNamespace(JSON="json")
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")

    class ILogger:
        pass

    def __init__(self, cuda, levels, *, largest=(8, 1500), shortest=1, loads=True):
        self.cuda, self.levels, self.largest, self.shortest, self.loads = cuda, levels, largest, shortest, loads
        self.configs = []

    def Runtime(self, logger):
        def deserialize(data):
            if not self.loads:
                logger.log("Severity.ERROR", "the magic tag\n  does not match")
                return None
            return FakeEngine(self)

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


class FakeEngine:
    num_layers = 1

    def __init__(self, trt):
        self.trt = trt
        self.names = ["features", "lengths", *trt.levels]
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, position):
        return self.names[position]

    def get_tensor_mode(self, name):
        return "input" if name in ("features", "lengths") else "output"

    def get_tensor_shape(self, name):
        return (-1, -1, self.trt.levels.get(name, 160))

    def create_execution_context(self, config=None):
        return FakeContext(self.trt)

    def create_runtime_config(self):
        self.trt.configs.append(FakeConfig())
        return self.trt.configs[-1]

    def create_engine_inspector(self):
        layers = [{"LayerType": "a"}, {"LayerType": "b"}]
        return SimpleNamespace(get_engine_information=lambda form: json.dumps({"Layers": layers}))


class FakeConfig:
    """TensorRT-RTX's; its cache takes blobs that begin with a magic word, and has one more kernel when it is kept."""

    def __init__(self):
        self.cuda_graph_strategy = self.cache = None
        self.blob = b"kernels"

    def create_runtime_cache(self):
        def deserialize(blob):
            self.blob = blob if blob.startswith(b"kernels") else self.blob
            return blob == self.blob

        return SimpleNamespace(deserialize=deserialize, serialize=lambda: self.blob + b" more")

    def set_runtime_cache(self, cache):
        self.cache = cache
        return True


class FakeContext:
    def __init__(self, trt):
        self.trt = trt
        self.shapes, self.addresses = {}, {}

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)
        fits = all(one <= most for one, most in zip(shape[:2], self.trt.largest, strict=False))
        return fits and (len(shape) == 1 or shape[1] >= self.trt.shortest)

    def get_tensor_shape(self, name):
        return (*self.shapes["features"][:2], self.trt.levels[name])

    def set_tensor_address(self, name, address):
        assert address in self.trt.cuda.memory
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        assert stream == "stream"
        shapes, addresses = dict(self.shapes), dict(self.addresses)
        self.trt.cuda.do(lambda: self.compute(shapes, addresses))
        return True

    def compute(self, shapes, addresses):
        def view(name, shape, kind):
            raw = (kind * int(np.prod(shape))).from_address(addresses[name])
            return np.ctypeslib.as_array(raw).reshape(shape)

        features = view("features", shapes["features"], ctypes.c_float)
        lengths = view("lengths", shapes["lengths"], ctypes.c_int64)
        frames = features.shape[1]
        sums = features.sum(-1) * (np.arange(frames)[None] < lengths[:, None])
        for level, width in self.trt.levels.items():
            view(level, (*features.shape[:2], width), ctypes.c_float)[:] = sums[..., None] * np.arange(width)
