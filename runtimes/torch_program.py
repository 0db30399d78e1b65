"""Programs of torch.export on a CPU, their quantized layers lowered to oneDNN's and FBGEMM's 8-bit kernels.

Where the manifest asks for it, all other products run under torch's autocast, in bfloat16.
"""

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
        self._autocast = artifact.manifest.execution.get("autocast") == "bf16"
        self._executed: Counter[str] = Counter()
        try:
            with self._settings(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module = lower(torch.export.load(self._path).module())
                outputs = self._module(torch.zeros(artifact.manifest.front_end.shape(1, 16)), torch.tensor([16]))
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
        return {level: output.float().numpy() for level, output in zip(self._levels, outputs, strict=True)}

    def kernels(self) -> dict[str, int]:
        """Operators of the last inference, as torch's profiler saw them, to number of calls; bfloat16 is marked."""
        return dict(sorted(self._executed.items()))

    def close(self) -> None:
        """Release the module."""
        del self._module

    def _profiled(self, given: tuple[torch.Tensor, ...]) -> Any:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
            outputs = self._module(*given)
        events = profiler.profiler.kineto_results.events()
        self._executed = Counter(
            event.name() + (".bfloat16" if "c10::BFloat16" in event.dtypes() else "") for event in events
        )
        return outputs

    @contextmanager
    def _settings(self) -> Iterator[None]:
        threads = torch.get_num_threads()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._autocast):
                yield
        finally:
            torch.set_num_threads(threads)


def load(artifact: Artifact, options: EngineOptions) -> TorchProgramEngine:
    """Load ``model.pt2``. Raises DeviceError, OptionError or RuntimeLoadError."""
    return TorchProgramEngine(artifact, options)


def obstacle(execution: Mapping[str, str]) -> str | None:
    """Says where this build of torch, or this CPU, lacks what the artifact runs on."""
    engine = execution.get("quantized_engine", "onednn")
    if engine not in torch.backends.quantized.supported_engines:
        return f"this build of torch lacks the 8-bit kernels of {engine}"
    # Elsewhere torch computes bfloat16 by its reference code, hundreds of times slower.
    if execution.get("autocast") == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "this CPU does not compute in bf16"
    return None


def lower(module: GraphModule) -> GraphModule:
    """Replace dequantize → linear by 8-bit linears, in place; the program as saved multiplies in float.

    oneDNN's where the range of the input is fixed, FBGEMM's where it is taken from each input.
    """
    graph = module.graph
    for node in list(graph.nodes):
        # Autocast gives other types than those that were exported.
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        if node.target is not torch.ops.aten.linear.default or not _is(node.args[1], "dequantize_per_channel"):
            continue
        replacement = _dynamic if str(node.args[0].target).endswith("dequantize_per_tensor.tensor") else _static
        with graph.inserting_before(node):
            product = replacement(module, node)
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


def _static(module: GraphModule, node: Node) -> Node:
    restored, (weight, weight_scale, weight_zero_point, *_), bias = _parts(node)
    rounded, scale, zero_point, *_ = restored.args
    graph, name = module.graph, f"packed_{node.name}"
    module.register_buffer(name, torch.ops.onednn.qlinear_prepack(_value(module, weight), None))
    # torch's own rounding takes two passes, the decomposed operator five.
    quint8 = graph.call_function(torch.quantize_per_tensor, (rounded.args[0], scale, zero_point, torch.quint8))
    integers = graph.call_method("int_repr", (quint8,))
    return graph.call_function(
        torch.ops.onednn.qlinear_pointwise.default,
        (
            *(integers, scale, zero_point, graph.get_attr(name), weight_scale, weight_zero_point, bias),
            *(1.0, 0, torch.float32, "none", [], ""),
        ),
    )


def _dynamic(module: GraphModule, node: Node) -> Node:
    restored, (weight, weight_scale, weight_zero_point, *_), bias = _parts(node)
    graph, name = module.graph, f"packed_{node.name}"
    scales, zeros = _value(module, weight_scale).double(), _value(module, weight_zero_point)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the age of torch's quantized tensors
        integers = torch._make_per_channel_quantized_tensor(_value(module, weight), scales, zeros, 0)
    previous = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        setattr(module, name, torch.ops.quantized.linear_prepack(integers, _value(module, bias)))
    finally:
        torch.backends.quantized.engine = previous
    # Under autocast, what comes before may be bfloat16.
    floats = graph.call_method("float", (restored.args[0].args[0],))
    return graph.call_function(torch.ops.quantized.linear_dynamic.default, (floats, graph.get_attr(name), False))


def _parts(node: Node) -> tuple[Any, Any, Any]:
    """The restored input, what the weights are restored from, and the bias of a linear."""
    arguments: Any = node.args
    return arguments[0], arguments[1].args, arguments[2] if len(arguments) > 2 else None


def _is(node: Any, name: str) -> bool:
    return isinstance(node, Node) and str(node.target).startswith(f"quantized_decomposed.{name}.")


def _value(module: GraphModule, node: Node) -> torch.Tensor:
    return operator.attrgetter(str(node.target))(module)  # type: ignore[no-any-return]


def _check(options: EngineOptions) -> None:
    if options.device != "cpu":
        raise DeviceError(f"torch's 8-bit kernels run on the CPU, not on {options.device!r}")
    if options.streams not in (None, 1):
        raise OptionError("torch runs one inference at a time, so it takes no streams")
    if options.precision is not None:
        raise OptionError("torch computes in the types of the program, so it takes no precision")
