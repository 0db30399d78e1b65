"""TensorRT engines on an NVIDIA GPU, through NVIDIA's cuda-python."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...artifacts import Artifact
from ...audio import Floats
from ...gpu import cuda, tensorrt
from ...gpu.errors import GpuError
from ...gpu.tensorrt import Log
from ..engine import check_signature
from ..errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from ..options import EngineOptions
from .device import Session, Stage
from .rtx import RtxSettings

ENGINE_FILE = "model.engine"
_LOST = "; its context is lost, start again"
_HINTS = {
    "cudaErrorMemoryAllocation": "; use a smaller --batch-seconds, or fewer --streams",
    **{
        f"cudaError{name}": _LOST
        for name in ("IllegalAddress", "LaunchFailure", "DevicesUnavailable", "ECCUncorrectable", "Unknown")
    },
}


class TensorRtEngine:
    """An engine with a context and device buffers for each stream, and CUDA graphs for shapes that repeat.

    With two streams, features of one batch are computed and its logits decoded while the GPU runs the other batch.
    """

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        if options.precision is not None:
            raise OptionError(
                "a TensorRT engine computes in the types that it was built with, so it takes no precision"
            )
        index = _gpu_index(options.device)
        execution = artifact.manifest.execution
        self._path = artifact.path(ENGINE_FILE)
        self._levels = list(artifact.manifest.levels)
        self._front_end = artifact.manifest.front_end
        self._log = Log()
        try:
            _check_gpu(artifact, cuda.capability(index), options.device)
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
            names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
            inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
            widths = {name: self._engine.get_tensor_shape(name)[-1] for name in names if name not in inputs}
            check_signature(artifact, self._path, inputs, widths)
            self._rtx = None
            if flavour == "rtx":
                self._rtx = RtxSettings(trt, self._engine, _kernel_file(artifact, options))
            self._stages: SimpleQueue[Stage] = SimpleQueue()
            for session in self._sessions:
                context = self._rtx.context(self._engine) if self._rtx else self._engine.create_execution_context()
                if context is None:
                    raise RuntimeLoadError(f"{self._path}: not enough memory on the GPU ({self._log.reason()})")
                graphs = self._rtx is None
                self._stages.put(Stage(session, context, self._front_end.input_names, self._levels, graphs=graphs))
        except GpuError as error:
            raise RuntimeLoadError(f"{self._path}: {error}") from None
        self._trt = trt
        limits = artifact.manifest.limits
        self._max_clips = limits.max_batch or 1
        self._min_frames, self._max_frames = limits.min_frames, limits.max_frames or 0

    def infer(self, inputs: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        """Logits by level; see ``Engine.infer``. Batches larger than the engine's run in parts.

        Batches shorter than the engine's shortest are padded to it, and so are their logits. More callers than streams
        wait for a free stream.
        """
        frames = inputs.shape[1]
        if frames > self._max_frames:
            raise InferenceError(f"{self._path}: {frames} frames are more than the {self._max_frames} it was built for")
        if frames < self._min_frames:
            # Padding is masked, so it does not change the logits of the clips' own frames.
            padded = np.zeros(self._front_end.shape(len(inputs), self._min_frames), np.float32)
            padded[:, :frames] = inputs
            inputs = padded
        clips = self._max_clips
        parts = [
            self._run(inputs[first : first + clips], lengths[first : first + clips])
            for first in range(0, len(inputs), clips)
        ]
        return {level: np.concatenate([part[level] for part in parts]) for level in self._levels}

    def kernels(self) -> dict[str, int]:
        """Number of layers that the engine's inspector reports; see ``Engine.kernels``."""
        report = self._engine.create_engine_inspector().get_engine_information(self._trt.LayerInformationFormat.JSON)
        return {"inspected layers": report.count('"LayerType"') or self._engine.num_layers}

    def close(self) -> None:
        """Release the engine, its contexts and its device memory."""
        with contextlib.suppress(GpuError):  # a lost device has nothing to release, and inference has reported it
            for session in self._sessions:
                self._stages.get().close()
                session.close()
        if self._rtx is not None:
            self._rtx.close()
        del self._engine, self._runtime

    def _run(self, inputs: Floats, lengths: NDArray[Any]) -> dict[str, Floats]:
        arrays = np.ascontiguousarray(inputs, np.float32), np.ascontiguousarray(lengths, np.int64)
        stage = self._stages.get()
        try:
            return stage.run(dict(zip(self._front_end.input_names, arrays, strict=True)))
        except GpuError as error:
            hint = _HINTS.get(error.code or "", "")
            raise InferenceError(f"{self._path}: the GPU failed on {inputs.shape} ({error}){hint}") from None
        finally:
            self._stages.put(stage)


def load(artifact: Artifact, options: EngineOptions) -> TensorRtEngine:
    """Load ``model.engine``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TensorRtEngine(artifact, options)


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """Whether this machine has the flavour of TensorRT and a GPU; see ``EngineModule``.

    Without ``flavour`` in ``execution``, whether it could run an engine that was built here.
    """
    if "flavour" in execution:
        flavour = _flavour(execution)
        missing = tensorrt.missing(flavour)
        if missing is not None:
            return f"{missing} is not installed; {tensorrt.INSTALL[flavour]}"
    capability = cuda.capability()
    if capability is None:
        return "needs an NVIDIA GPU with its driver, and this machine has none"
    if "flavour" not in execution:
        flavours = tensorrt.installed()
        if not flavours:
            return f"TensorRT is not installed; {tensorrt.INSTALL['rtx']}"
        if flavours == ["rtx"] and capability not in tensorrt.RTX_CAPABILITIES:
            return f"TensorRT-RTX has no engines for this GPU ({capability}); {tensorrt.INSTALL['tensorrt']}"
    return None


def _flavour(execution: Mapping[str, str]) -> tensorrt.Flavour:
    flavour = execution.get("flavour", "")
    if flavour == "tensorrt":
        return "tensorrt"
    if flavour == "rtx":
        return "rtx"
    raise GpuError(f"its flavour {flavour!r} needs a newer qasr")


def _kernel_file(artifact: Artifact, options: EngineOptions) -> Path | None:
    """Where TensorRT-RTX keeps the kernels that it compiles for this engine."""
    return options.cache and options.cache / "tensorrt-rtx" / f"{artifact.manifest.digest[:16]}.kernels"


def _gpu_index(device: str) -> int:
    name, colon, index = device.partition(":")
    if name == "cuda" and (not colon or index.isdecimal()):
        return int(index or 0)
    if device == "cpu":  # the default of EngineOptions
        return 0
    raise DeviceError(f"a TensorRT engine runs on cuda or cuda:N, not on {device!r}")


def _check_gpu(artifact: Artifact, capability: str | None, device: str) -> None:
    if capability is None:
        raise DeviceError(f"{artifact.folder}: needs an NVIDIA GPU with its driver; this machine has no {device!r}")
    built = artifact.manifest.execution.get("compute_capabilities", "").split()
    if built and capability not in built:
        raise RuntimeLoadError(
            f"{artifact.folder}: was built for GPUs of compute capability {', '.join(built)}, and this one has "
            f"{capability}; export it with --compute-capability {capability}"
        )
