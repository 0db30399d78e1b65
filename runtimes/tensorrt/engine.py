"""TensorRT engines on an NVIDIA GPU, through NVIDIA's own cuda-python."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifacts import Artifact
from ...kernels import cuda, tensorrt
from ...kernels.errors import GpuError
from ...kernels.tensorrt import Log
from ..engine import EngineOptions, Floats, check_signature
from ..errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from .device import Session, Stage
from .rtx import RtxSettings

ENGINE_FILE = "model.engine"
_LOST = "; its context is lost, start again"
_HINTS = {
    "cudaErrorMemoryAllocation": "; take a smaller --batch-seconds, or fewer --streams",
    **{
        f"cudaError{name}": _LOST
        for name in ("IllegalAddress", "LaunchFailure", "DevicesUnavailable", "ECCUncorrectable", "Unknown")
    },
}


class TensorRtEngine:
    """An engine with a context a stream, its buffers on the device, and CUDA graphs of shapes that repeat.

    With two streams the features of one batch are computed, and its logits decoded, while the GPU works on the other.
    """

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        if options.precision is not None:
            raise OptionError(
                "a TensorRT engine computes in the types that it was built with, so it takes no precision"
            )
        index = _index(options.device)
        execution = artifact.manifest.execution
        self._path = artifact.path(ENGINE_FILE)
        self._levels = list(artifact.manifest.levels)
        self._log = Log()
        try:
            here = cuda.capability(index)
            _check_gpu(artifact, here, options.device)
            flavour = _flavour(execution)
            trt = tensorrt.load(flavour)
            self._runtime = trt.Runtime(self._log.make(trt))
            self._sessions = [Session(cuda.bindings(), index) for _ in range(options.streams or 1)]
            self._engine = self._runtime.deserialize_cuda_engine(self._path.read_bytes())
            if self._engine is None:
                raise RuntimeLoadError(
                    f"{self._path}: TensorRT {trt.__version__} cannot load it ({self._log.reason()}); "
                    f"it was built by {execution.get('tensorrt', 'an unknown version')}: export it again here"
                )
            names = [self._engine.get_tensor_name(place) for place in range(self._engine.num_io_tensors)]
            inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
            widths = {name: self._engine.get_tensor_shape(name)[-1] for name in names if name not in inputs}
            check_signature(artifact, self._path, inputs, widths)
            self._rtx = None if flavour == "tensorrt" else RtxSettings(trt, self._engine, _kept(artifact, options))
            self._stages: SimpleQueue[Stage] = SimpleQueue()
            for session in self._sessions:
                context = self._rtx.context(self._engine) if self._rtx else self._engine.create_execution_context()
                if context is None:
                    raise RuntimeLoadError(f"{self._path}: no memory for it on the GPU ({self._log.reason()})")
                graphs = self._rtx is None
                self._stages.put(Stage(session, context, ["features", "lengths"], self._levels, graphs=graphs))
        except GpuError as error:
            raise RuntimeLoadError(f"{self._path}: {error}") from None
        self._trt = trt
        limits = artifact.manifest.limits
        self._most = (limits.max_batch or 1, limits.max_frames or 0)
        self._fewest = limits.min_frames

    def infer(self, features: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        """Logits of every level; see ``Engine.infer``. Batches over the engine's own go through it in parts.

        Clips shorter than the engine's shortest are padded to it, and their logits have the frames of the padding.
        Callers beyond the number of streams wait for their turn.
        """
        most, longest = self._most
        if features.shape[1] > longest:
            raise InferenceError(
                f"{self._path}: {features.shape[1]} frames are more than the {longest} it was built for"
            )
        if features.shape[1] < self._fewest:  # padding is masked, so it changes nothing
            features = np.pad(features, ((0, 0), (0, self._fewest - features.shape[1]), (0, 0)))
        parts = [
            self._run(features[first : first + most], lengths[first : first + most])
            for first in range(0, len(features), most)
        ]
        return {level: np.concatenate([part[level] for part in parts]) for level in self._levels}

    def kernels(self) -> dict[str, int]:
        """Layers of the engine as its inspector names them; see ``Engine.kernels``."""
        told = self._engine.create_engine_inspector().get_engine_information(self._trt.LayerInformationFormat.JSON)
        return {"inspected layers": told.count('"LayerType"') or self._engine.num_layers}

    def close(self) -> None:
        """Release the context, the engine and what lies on the device."""
        with contextlib.suppress(GpuError):  # a lost device has nothing to release, and its failure was said
            for session in self._sessions:
                self._stages.get().close()
                session.close()
        if self._rtx is not None:
            self._rtx.close()
        del self._engine, self._runtime

    def _run(self, features: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        given: dict[str, NDArray[Any]] = {
            "features": np.ascontiguousarray(features, np.float32),
            "lengths": np.ascontiguousarray(lengths, np.int64),
        }
        stage = self._stages.get()
        try:
            return stage.run(given)
        except GpuError as error:
            hint = next((hint for name, hint in _HINTS.items() if name in str(error)), "")
            raise InferenceError(f"{self._path}: the GPU failed on {features.shape} ({error}){hint}") from None
        finally:
            self._stages.put(stage)


def load(artifact: Artifact, options: EngineOptions) -> TensorRtEngine:
    """Load ``model.engine``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TensorRtEngine(artifact, options)


def obstacle(execution: Mapping[str, str]) -> str | None:
    """The flavour of TensorRT that is not installed, or the GPU that is not there, or None."""
    if "flavour" in execution:
        flavour = _flavour(execution)
        absent = tensorrt.missing(flavour)
        if absent is not None:
            return f"{absent} is not installed; {tensorrt.INSTALL[flavour]}"
    here = cuda.capability()
    if here is None:
        return "needs an NVIDIA GPU with its driver, and there is none here"
    if "flavour" not in execution:  # of an engine that is yet to be built
        there = tensorrt.installed()
        if not there:
            return f"TensorRT is not installed; {tensorrt.INSTALL['rtx']}"
        if there == ["rtx"] and here not in tensorrt.RTX_CAPABILITIES:
            return f"TensorRT-RTX has no engines for this GPU ({here}); {tensorrt.INSTALL['tensorrt']}"
    return None


def _flavour(execution: Mapping[str, str]) -> tensorrt.Flavour:
    flavour = execution.get("flavour", "")
    if flavour == "tensorrt":
        return "tensorrt"
    if flavour == "rtx":
        return "rtx"
    raise GpuError(f"its flavour {flavour!r} needs a newer qasr")


def _kept(artifact: Artifact, options: EngineOptions) -> Path | None:
    """The file of the kernels that TensorRT-RTX has compiled for this engine."""
    return options.cache and options.cache / "tensorrt-rtx" / f"{artifact.manifest.digest[:16]}.kernels"


def _index(device: str) -> int:
    name, colon, index = device.partition(":")
    if name == "cuda" and (not colon or index.isdecimal()):
        return int(index or 0)
    if device == "cpu":  # what is asked for by default
        return 0
    raise DeviceError(f"a TensorRT engine runs on cuda or cuda:N, not on {device!r}")


def _check_gpu(artifact: Artifact, here: str | None, device: str) -> None:
    if here is None:
        raise DeviceError(f"{artifact.folder}: needs an NVIDIA GPU with its driver; there is no {device!r} here")
    built = artifact.manifest.execution.get("compute_capabilities", "").split()
    if built and here not in built:
        raise RuntimeLoadError(
            f"{artifact.folder}: was built for GPUs of compute capability {', '.join(built)}, and this one has {here}; "
            f"export it with --compute-capability {here}"
        )
