"""ONNX Runtime."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...artifacts import Artifact
from ...audio import Floats
from ...errors import first_line
from ..cores import available_cores
from ..engine import check_signature
from ..errors import InferenceError, OptionError
from ..options import EngineOptions
from .providers import session

MODEL_FILE = "model.onnx"


class OnnxEngine:
    """A session on one ``model.onnx``."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        if options.precision is not None:
            raise OptionError("ONNX Runtime computes in the types of the model, so it takes no precision")
        settings = onnxruntime.SessionOptions()
        # Streams are calls from several threads. Each brings its own thread, and all share those of the session.
        if options.threads is not None or options.streams is not None:
            threads = options.threads or available_cores()
            settings.intra_op_num_threads = max(1, threads // (options.streams or 1))
        settings.inter_op_num_threads = 1
        # A memory plan for each input shape raises peak memory by half, because recordings differ in length.
        settings.enable_mem_pattern = False
        settings.log_severity_level = 3
        self._profiles: tempfile.TemporaryDirectory[str] | None = None
        if options.profile:
            self._profiles = tempfile.TemporaryDirectory(prefix="qasr-")
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(self._profiles.name) / "profile")
        path = artifact.path(MODEL_FILE)
        self.session = session(path, settings, options.device, options.cache)
        self._path = path
        self._levels = list(artifact.manifest.levels)
        self._input_names = artifact.manifest.front_end.input_names
        check_signature(
            artifact,
            path,
            [value.name for value in self.session.get_inputs()],
            {value.name: value.shape[-1] for value in self.session.get_outputs()},
        )

    def infer(self, inputs: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits by level; see ``Engine.infer``."""
        try:
            outputs = self.session.run(self._levels, dict(zip(self._input_names, (inputs, lengths), strict=True)))
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise InferenceError(f"{self._path}: ONNX Runtime failed on {inputs.shape} ({first_line(error)})") from None
        return dict(zip(self._levels, outputs, strict=True))

    def kernels(self) -> dict[str, int]:
        """Executed nodes of the optimized graph, by operator; those in float16 are marked. See ``Engine.kernels``."""
        events = json.loads(Path(self.session.end_profiling()).read_text(encoding="utf-8"))
        kernels: dict[str, str] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                arguments = event["args"]
                types = {kind for value in arguments.get("input_type_shape", []) for kind in value}
                half = ".float16" if "float16" in types else ""
                kernels[f"{event['name']} {arguments.get('node_index')}"] = arguments["op_name"] + half
        return dict(sorted(Counter(kernels.values()).items()))

    def close(self) -> None:
        """Release the session."""
        del self.session
        if self._profiles is not None:
            self._profiles.cleanup()


def load(artifact: Artifact, options: EngineOptions) -> OnnxEngine:
    """Load ``model.onnx``. Raises DeviceError or RuntimeLoadError."""
    return OnnxEngine(artifact, options)


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """None: ONNX Runtime's CPU kernels run everywhere."""
    return None
