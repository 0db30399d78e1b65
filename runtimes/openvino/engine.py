"""OpenVINO on CPUs, Intel GPUs and NPUs."""

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
from ...audio import Floats
from ...errors import last_line
from ..engine import check_signature, warm_up_inputs
from ..errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from ..memory import released
from ..options import EngineOptions
from .weights import multiplied_out

MODEL_FILE = "openvino_model.xml"

_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_SOURCE_LINES = ("Exception from", "Check '", "[ CPU ]")
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVinoEngine:
    """A compiled ``openvino_model.xml``, with one inference request for each stream."""

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
            # Without it the plugin quantizes the inputs of layers whose scheme quantizes weights only.
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = int(artifact.manifest.execution.get("input_group_size", 0))
            if options.threads is not None:
                settings["INFERENCE_NUM_THREADS"] = options.threads
        elif options.threads is not None:
            raise OptionError(f"OpenVINO's {device} takes no number of threads")
        mapped = [artifact.folder.resolve()]
        cache: Path | None = None
        if options.cache is not None:
            # The digest identifies the contents, so a compiled model is never used for another artifact.
            cache = options.cache.resolve() / "openvino" / artifact.manifest.digest[:16]
            settings["CACHE_DIR"] = str(cache)
            mapped.append(cache)
        try:
            model: Path | ov.Model = self._path
            if "i4" in artifact.manifest.precision.weight_bytes:
                with released(mapped):
                    model = multiplied_out(core, self._path, cache)
            self.compiled = core.compile_model(model, device, settings)
            del model
        except RuntimeError as error:
            raise RuntimeLoadError(f"{self._path}: OpenVINO cannot load it ({_reason(error)})") from None
        self._levels = list(artifact.manifest.levels)
        self._input_names = artifact.manifest.front_end.input_names
        check_signature(
            artifact,
            self._path,
            {port.any_name for port in self.compiled.inputs},
            {port.any_name: port.partial_shape[-1].get_length() for port in self.compiled.outputs},
        )
        self._requests: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(settings["NUM_STREAMS"]):
            self._requests.put(self.compiled.create_infer_request())
        if device == "CPU":
            # The plugin packs the weights at the first inference, and keeps the mapped file as well.
            with released(mapped):
                self.infer(*warm_up_inputs(artifact))

    def infer(self, inputs: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits by level; see ``Engine.infer``. More callers than streams wait for a free stream."""
        request = self._requests.get()
        try:
            outputs = request.infer(dict(zip(self._input_names, (inputs, lengths), strict=True)))
            return {level: np.array(outputs[level]) for level in self._levels}
        except RuntimeError as error:
            raise InferenceError(f"{self._path}: OpenVINO failed on {inputs.shape} ({_reason(error)})") from None
        finally:
            self._requests.put(request)

    def kernels(self) -> dict[str, int]:
        """Executed nodes by "type:implementation", for instance "FullyConnected:brgemm_avx512_I8"."""
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
        del self._requests, self.compiled


def load(artifact: Artifact, options: EngineOptions) -> OpenVinoEngine:
    """Load ``openvino_model.xml``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return OpenVinoEngine(artifact, options)


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """Whether this machine's CPU computes in the artifact's precision; see ``EngineModule``."""
    precision = execution.get("precision", "fp32")
    core = ov.Core()
    if _capable(core, "CPU", precision):
        return None
    return f"{_incapable(core, 'CPU', precision)}; use precision fp32, which is slower and at least as exact"


def _device(core: ov.Core, name: str) -> str:
    device = name.upper()
    if device not in core.available_devices:
        names = ", ".join(device.lower() for device in core.available_devices)
        raise DeviceError(f"OpenVINO has no device {name!r} here; available are {names}")
    return device


def _capable(core: ov.Core, device: str, precision: str) -> bool:
    return precision == "fp32" or _CAPABILITIES[precision] in core.get_property(device, "OPTIMIZATION_CAPABILITIES")


def _incapable(core: ov.Core, device: str, precision: str) -> str:
    return f"{core.get_property(device, 'FULL_DEVICE_NAME').strip()} does not compute in {precision}"


def _reason(error: Exception) -> str:
    """The explanation in an error of OpenVINO, without the lines that name its source files."""
    lines = [line for line in str(error).splitlines() if not line.strip().startswith(_SOURCE_LINES)]
    return last_line("\n".join(lines)) if any(map(str.strip, lines)) else last_line(error)
