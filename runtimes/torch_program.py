"""Programs of torch.export on a CPU, with quantized layers lowered to the 8-bit kernels of oneDNN and FBGEMM.

If the manifest requests it, all other matrix products run in bfloat16 under torch's autocast.
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
from ..audio import Floats
from ..errors import last_line
from .engine import check_signature, named_widths, warm_up_inputs
from .errors import DeviceError, InferenceError, OptionError, RuntimeLoadError
from .options import EngineOptions

MODEL_FILE = "model.pt2"


class TorchProgramEngine:
    """A loaded ``model.pt2``."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        _check(options)
        self._path = artifact.path(MODEL_FILE)
        self._levels = list(artifact.manifest.levels)
        self._threads = options.threads
        self._profile = options.profile
        self._autocast = artifact.manifest.execution.get("autocast") == "bf16"
        self._executed: Counter[str] = Counter()
        try:
            with self._settings(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module = lower(torch.export.load(self._path).module())
                outputs = self._module(*map(torch.from_numpy, warm_up_inputs(artifact)))
        except Exception as error:  # zip, pickle, the schema and torch raise different errors
            raise RuntimeLoadError(f"{self._path}: torch cannot load it ({last_line(error)})") from None
        names, widths = artifact.manifest.front_end.input_names, [output.shape[-1] for output in outputs]
        check_signature(artifact, self._path, names, named_widths(artifact, widths))

    def infer(self, inputs: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits by level; see ``Engine.infer``."""
        tensors = (torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(lengths))
        try:
            with self._settings():
                outputs = self._profiled(tensors) if self._profile else self._module(*tensors)
        except (RuntimeError, AssertionError) as error:
            raise InferenceError(f"{self._path}: torch failed on {inputs.shape} ({last_line(error)})") from None
        return {level: output.float().numpy() for level, output in zip(self._levels, outputs, strict=True)}

    def kernels(self) -> dict[str, int]:
        """Calls of each operator in the last inference, from torch's profiler; those in bfloat16 are marked."""
        return dict(sorted(self._executed.items()))

    def close(self) -> None:
        """Release the module."""
        del self._module

    def _profiled(self, tensors: tuple[torch.Tensor, ...]) -> Any:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
            outputs = self._module(*tensors)
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


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """Whether this build of torch and this CPU have what the artifact needs; see ``EngineModule``."""
    engine = execution.get("quantized_engine", "onednn")
    if engine not in torch.backends.quantized.supported_engines:
        return f"this build of torch lacks the 8-bit kernels of {engine}"
    # Without CPU support torch computes bfloat16 by reference code, hundreds of times slower.
    if execution.get("autocast") == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "this CPU does not compute in bf16"
    return None


def lower(module: GraphModule) -> GraphModule:
    """Replace dequantize → linear, which multiplies in float, by 8-bit linears, in place.

    Static quantization uses oneDNN's linear, dynamic quantization FBGEMM's.
    """
    graph = module.graph
    for node in list(graph.nodes):
        # Under autocast, tensors have other types than those that were exported.
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
    # Free the unpacked weights.
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
    # quantize_per_tensor takes two passes over the input, the decomposed operator five.
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
        warnings.simplefilter("ignore")  # that quantized tensors are deprecated
        integers = torch._make_per_channel_quantized_tensor(_value(module, weight), scales, zeros, 0)
    previous = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        setattr(module, name, torch.ops.quantized.linear_prepack(integers, _value(module, bias)))
    finally:
        torch.backends.quantized.engine = previous
    # Under autocast, the input may be bfloat16.
    floats = graph.call_method("float", (restored.args[0].args[0],))
    return graph.call_function(torch.ops.quantized.linear_dynamic.default, (floats, graph.get_attr(name), False))


def _parts(node: Node) -> tuple[Any, Any, Any]:
    """Of a linear: its dequantized input, the arguments of its weight's dequantization, and its bias."""
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
