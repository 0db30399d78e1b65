"""TorchScript on a CPU, with torch's 8-bit kernels."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..artifacts import Artifact
from ..audio import Floats
from ..errors import last_line
from .engine import check_signature, named_widths, warm_up_inputs
from .errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from .options import EngineOptions

MODEL_FILE = "model.pt"


class TorchScriptEngine:
    """A loaded ``model.pt``.

    Torch keeps the choice of 8-bit kernels and the number of threads in global settings, so the engine sets them for
    each inference and restores them afterwards.
    """

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        _check(options)
        self._path = artifact.path(MODEL_FILE)
        self._names = artifact.manifest.front_end.input_names
        self._engine = artifact.manifest.execution["quantized_engine"]
        self._levels = list(artifact.manifest.levels)
        self._threads = options.threads
        self._profile = options.profile
        self._executed: Counter[str] = Counter()
        try:
            with self._settings(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that TorchScript is deprecated
                self._module = torch.jit.load(str(self._path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
                outputs = self._module(*map(torch.from_numpy, warm_up_inputs(artifact)))
        except RuntimeError as error:
            raise RuntimeLoadError(f"{self._path}: torch cannot load it ({last_line(error)})") from None
        # A trace has no names. Its inputs and outputs have the order of the front end's inputs and of the levels.
        check_signature(
            artifact, self._path, self._names, named_widths(artifact, [output.shape[-1] for output in outputs])
        )

    def infer(self, inputs: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits by level; see ``Engine.infer``."""
        tensors = (torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(lengths))
        try:
            with self._settings():
                outputs = self._profiled(tensors) if self._profile else self._module(*tensors)
        except RuntimeError as error:
            raise InferenceError(f"{self._path}: torch failed on {inputs.shape} ({last_line(error)})") from None
        return {level: output.numpy() for level, output in zip(self._levels, outputs, strict=True)}

    def kernels(self) -> dict[str, int]:
        """Calls of each operator in the last inference, from torch's profiler."""
        return dict(sorted(self._executed.items()))

    def close(self) -> None:
        """Release the module."""
        del self._module

    def _profiled(self, tensors: tuple[torch.Tensor, ...]) -> Any:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            outputs = self._module(*tensors)
        self._executed = Counter({event.key: event.count for event in profiler.key_averages()})
        return outputs

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """The artifact's kernels, the requested threads, and no optimization: it would run again for every shape."""
        engine, threads = torch.backends.quantized.engine, torch.get_num_threads()
        torch.backends.quantized.engine = self._engine
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
                yield
        finally:
            torch.backends.quantized.engine = engine
            torch.set_num_threads(threads)


def load(artifact: Artifact, options: EngineOptions) -> TorchScriptEngine:
    """Load ``model.pt``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TorchScriptEngine(artifact, options)


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """Whether this build of torch has the artifact's quantized engine; see ``EngineModule``."""
    engine = execution["quantized_engine"]
    available = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    if engine in available:
        return None
    return f"this build of torch lacks the quantized engine {engine}; it has {', '.join(available)}"


def _check(options: EngineOptions) -> None:
    if options.device != "cpu":
        raise DeviceError(f"torch's 8-bit kernels run on the CPU, not on {options.device!r}")
    if options.streams not in (None, 1):
        raise OptionError("TorchScript runs one inference at a time, so it takes no streams")
    if options.precision is not None:
        raise OptionError("TorchScript computes in the types of the model, so it takes no precision")
