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
from .engine import EngineOptions, Floats, check_signature
from .errors import DeviceError, InferenceError, OptionError, RuntimeLoadError, last_line

MODEL_FILE = "model.pt"


class TorchScriptEngine:
    """A loaded ``model.pt``. The file does not say which kernels it is for, so the engine sets them, and puts back."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        _check(options)
        self._path = artifact.path(MODEL_FILE)
        if not artifact.verified:
            raise RuntimeLoadError(
                f"{self._path}: TorchScript is code, and runs only once its hash was checked; load it with verification"
            )
        self._engine = artifact.manifest.execution["quantized_engine"]
        self._levels = list(artifact.manifest.levels)
        self._threads = options.threads
        self._profile = options.profile
        self._executed: Counter[str] = Counter()
        try:
            with self._settings(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about TorchScript's age
                self._module = torch.jit.load(str(self._path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
                width = artifact.manifest.front_end.feature_size  # type: ignore[union-attr]
                outputs = self._module(torch.zeros(1, 16, width), torch.tensor([16]))
        except RuntimeError as error:
            raise RuntimeLoadError(f"{self._path}: torch cannot load it ({last_line(error)})") from None
        # A trace has no names; its outputs come in the order of the levels.
        names = [*self._levels, *(f"output {place}" for place in range(len(self._levels), len(outputs)))]
        widths = {name: output.shape[-1] for name, output in zip(names, outputs, strict=False)}
        check_signature(artifact, self._path, ("features", "lengths"), widths)

    def infer(self, features: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits of every level; see ``Engine.infer``."""
        given = (torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(lengths))
        try:
            with self._settings():
                outputs = self._profiled(given) if self._profile else self._module(*given)
        except RuntimeError as error:
            raise InferenceError(f"{self._path}: torch failed on {features.shape} ({last_line(error)})") from None
        return {level: output.numpy() for level, output in zip(self._levels, outputs, strict=True)}

    def kernels(self) -> dict[str, int]:
        """Operators of the last inference, as torch's profiler saw them: name to number of calls."""
        return dict(sorted(self._executed.items()))

    def close(self) -> None:
        """Release the module."""
        del self._module

    def _profiled(self, given: tuple[torch.Tensor, ...]) -> Any:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            outputs = self._module(*given)
        self._executed = Counter({event.key: event.count for event in profiler.key_averages()})
        return outputs

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """The artifact's kernels, the threads asked for, and no optimization that starts again at every new shape."""
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


def obstacle(execution: Mapping[str, str]) -> str | None:
    """Says where this build of torch lacks the artifact's quantized engine."""
    engine = execution["quantized_engine"]
    there = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    if engine in there:
        return None
    return f"this build of torch lacks the quantized engine {engine}; it has {', '.join(there)}"


def _check(options: EngineOptions) -> None:
    if options.device != "cpu":
        raise DeviceError(f"torch's 8-bit kernels run on the CPU, not on {options.device!r}")
    if options.streams not in (None, 1):
        raise OptionError("TorchScript runs one inference at a time, so it takes no streams")
    if options.precision is not None:
        raise OptionError("TorchScript computes in the types of the model, so it takes no precision")
