"""Programs of torch.export on a CPU, their quantized layers lowered to oneDNN's 8-bit kernels."""

from __future__ import annotations

import operator
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from ..artifacts import Artifact
from .engine import EngineOptions, Floats, check_signature
from .errors import DeviceError, InferenceError, OptionError, RuntimeLoadError, last_line

MODEL_FILE = "model.pt2"


class TorchProgramEngine:
    """A loaded ``model.pt2``."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        _check(options)
        self._path = artifact.path(MODEL_FILE)
        if not artifact.verified:
            raise RuntimeLoadError(
                f"{self._path}: reading it can run code, so its hash has to be checked; load it with verification"
            )
        self._levels = list(artifact.manifest.levels)
        self._threads = options.threads
        self._profile = options.profile
        self._executed: Counter[str] = Counter()
        try:
            with self._settings(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module = lower(torch.export.load(self._path).module())
                outputs = self._module(torch.zeros(1, 16, artifact.manifest.limits.feature_size), torch.tensor([16]))
        except Exception as error:  # zip, pickle, schema and torch each have their own
            raise RuntimeLoadError(f"{self._path}: torch cannot load it ({last_line(error)})") from None
        names = [*self._levels, *(f"output {place}" for place in range(len(self._levels), len(outputs)))]
        widths = {name: output.shape[-1] for name, output in zip(names, outputs, strict=False)}
        check_signature(artifact, self._path, ("features", "lengths"), widths)

    def infer(self, features: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits of every level; see ``Engine.infer``."""
        given = (torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(lengths))
        try:
            with self._settings():
                outputs = self._profiled(given) if self._profile else self._module(*given)
        except (RuntimeError, AssertionError) as error:
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
        threads = torch.get_num_threads()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(threads)


def load(artifact: Artifact, options: EngineOptions) -> TorchProgramEngine:
    """Load ``model.pt2``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TorchProgramEngine(artifact, options)


def obstacle(execution: Mapping[str, str]) -> str | None:
    """Says where this build of torch lacks oneDNN's 8-bit kernels."""
    there = "onednn" in torch.backends.quantized.supported_engines
    return None if there else "this build of torch lacks oneDNN's 8-bit kernels"


def lower(module: GraphModule) -> GraphModule:
    """Replace dequantize → linear by oneDNN's 8-bit linear, in place; the program as saved multiplies in float."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is not torch.ops.aten.linear.default or not _is(node.args[1], "dequantize_per_channel"):
            continue
        restored, (weight, weight_scale, weight_zero_point, *_) = node.args[0], node.args[1].args
        rounded, scale, zero_point, *_ = restored.args
        name = f"packed_{node.name}"
        module.register_buffer(name, torch.ops.onednn.qlinear_prepack(_value(module, weight), None))
        with graph.inserting_before(node):
            # torch's own rounding takes two passes, the decomposed operator five.
            quint8 = graph.call_function(torch.quantize_per_tensor, (rounded.args[0], scale, zero_point, torch.quint8))
            integers = graph.call_method("int_repr", (quint8,))
            bias = node.args[2] if len(node.args) > 2 else None
            product = graph.call_function(
                torch.ops.onednn.qlinear_pointwise.default,
                (
                    *(integers, scale, zero_point, graph.get_attr(name), weight_scale, weight_zero_point, bias),
                    *(1.0, 0, torch.float32, "none", [], ""),
                ),
            )
        node.replace_all_uses_with(product)
        graph.erase_node(node)
    graph.eliminate_dead_code()
    module.recompile()
    # The unpacked weights are not needed any more.
    used = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    for name, value in list(module.named_buffers()):
        if name not in used and value.dtype == torch.int8:
            parent, _, leaf = name.rpartition(".")
            delattr(module.get_submodule(parent), leaf)
    return module


def _is(node: Any, name: str) -> bool:
    return isinstance(node, Node) and str(node.target).startswith(f"quantized_decomposed.{name}.")


def _value(module: GraphModule, node: Node) -> torch.Tensor:
    return operator.attrgetter(str(node.target))(module)  # type: ignore[no-any-return]


def _check(options: EngineOptions) -> None:
    if options.device != "cpu":
        raise DeviceError(f"oneDNN's 8-bit kernels run on the CPU, not on {options.device!r}")
    if options.streams not in (None, 1):
        raise OptionError("torch runs one inference at a time, so it takes no streams")
    if options.precision is not None:
        raise OptionError("torch computes in the types of the program, so it takes no precision")
