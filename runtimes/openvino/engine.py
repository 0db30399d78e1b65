"""OpenVINO on CPUs, and on its GPU and NPU devices where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from ...artifacts import Artifact
from ..engine import EngineOptions, Floats, check_signature
from ..errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from ..memory import released
from .weights import multiplied_out

MODEL_FILE = "openvino_model.xml"

_WARM_UP_FRAMES = 32
_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVinoEngine:
    """A compiled ``openvino_model.xml``, with one inference request a stream."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        self._path = artifact.path(MODEL_FILE)
        artifact.path("openvino_model.bin")
        core = ov.Core()
        device = _device(core, options.device)
        precision = options.precision or artifact.manifest.execution.get("precision", "fp32")
        if not _capable(core, device, precision):
            raise OptionError(_incapable(core, device, precision))
        settings: dict[str, Any] = {
            "NUM_STREAMS": options.streams or 1,
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "PERF_COUNT": options.profile,
        }
        if device == "CPU":
            # Otherwise the plugin rounds inputs where the scheme says that only weights are integers.
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = int(artifact.manifest.execution.get("input_group_size", 0))
            if options.threads is not None:
                settings["INFERENCE_NUM_THREADS"] = options.threads
        elif options.threads is not None:
            raise OptionError(f"OpenVINO's {device} takes no number of threads")
        mapped = [artifact.folder.resolve()]
        cache: Path | None = None
        if options.cache is not None:
            # The digest names the contents, so a compiled model can never serve another artifact.
            cache = options.cache.resolve() / "openvino" / artifact.manifest.digest[:16]
            settings["CACHE_DIR"] = str(cache)
            mapped.append(cache)
        try:
            model: Path | ov.Model = self._path
            if "i4" in artifact.manifest.precision.weight_bytes:
                with released(mapped):
                    model = multiplied_out(core, self._path, cache)
            self._compiled = core.compile_model(model, device, settings)
            del model
        except RuntimeError as error:
            raise RuntimeLoadError(f"{self._path}: OpenVINO cannot load it ({_reason(error)})") from None
        self._levels = list(artifact.manifest.levels)
        check_signature(
            artifact,
            self._path,
            {port.any_name for port in self._compiled.inputs},
            {port.any_name: port.partial_shape[-1].get_length() for port in self._compiled.outputs},
        )
        self._requests: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(settings["NUM_STREAMS"]):
            self._requests.put(self._compiled.create_infer_request())
        if device == "CPU":
            # The plugin packs the weights at the first inference, and keeps the file mapped beside them.
            with released(mapped):
                width = artifact.manifest.front_end.feature_size  # type: ignore[union-attr]
                self.infer(np.zeros((1, _WARM_UP_FRAMES, width), np.float32), np.array([_WARM_UP_FRAMES]))

    def infer(self, features: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits of every level; see ``Engine.infer``. Callers beyond the number of streams wait for their turn."""
        request = self._requests.get()
        try:
            outputs = request.infer({"features": features, "lengths": lengths})
            return {level: np.array(outputs[level]) for level in self._levels}
        except RuntimeError as error:
            raise InferenceError(f"{self._path}: OpenVINO failed on {features.shape} ({_reason(error)})") from None
        finally:
            self._requests.put(request)

    def kernels(self) -> dict[str, int]:
        """Nodes that ran, as "type:implementation", for instance "FullyConnected:brgemm_avx512_I8"."""
        request = self._requests.get()
        executed = Counter(
            f"{node.node_type}:{node.exec_type}"
            for node in request.profiling_info
            if node.status == ov.ProfilingInfo.Status.EXECUTED and not node.exec_type.startswith("unknown")
        )
        self._requests.put(request)
        return dict(sorted(executed.items()))

    def close(self) -> None:
        """Release the compiled model."""
        del self._requests, self._compiled


def load(artifact: Artifact, options: EngineOptions) -> OpenVinoEngine:
    """Load ``openvino_model.xml``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return OpenVinoEngine(artifact, options)


def obstacle(execution: Mapping[str, str]) -> str | None:
    """What keeps this machine's CPU from computing in the precision that the artifact was made for, or None."""
    precision = execution.get("precision", "fp32")
    core = ov.Core()
    if _capable(core, "CPU", precision):
        return None
    return f"{_incapable(core, 'CPU', precision)}; precision fp32 serves instead, slower and no less exact"


def _device(core: ov.Core, name: str) -> str:
    device = name.upper()
    if device not in core.available_devices:
        there = ", ".join(device.lower() for device in core.available_devices)
        raise DeviceError(f"OpenVINO has no device {name!r} here; there are {there}")
    return device


def _capable(core: ov.Core, device: str, precision: str) -> bool:
    return precision == "fp32" or _CAPABILITIES[precision] in core.get_property(device, "OPTIMIZATION_CAPABILITIES")


def _incapable(core: ov.Core, device: str, precision: str) -> str:
    return f"{core.get_property(device, 'FULL_DEVICE_NAME').strip()} does not compute in {precision}"


def _reason(error: Exception) -> str:
    """The sentence in OpenVINO's several lines of where in its sources it failed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '", "[ CPU ]"))]
    return (telling or lines or [type(error).__name__])[-1]
