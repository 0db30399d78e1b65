"""TorchScript on torch's own 8-bit kernels: FBGEMM for x86, QNNPACK for ARM."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...artifacts import Precision
from ...models import Checkpoint, CTCModel
from ...quantizers.layers.quantized import DynamicLinear, Quantized, StaticLinear
from ...quantizers.layers.rewrite import replace
from ..errors import ExportError
from ..target import Target
from ..trace import example_inputs

MODEL_FILE = "model.pt"

_MANGLED = re.compile(rb"___torch_mangle_(\d+)")
# Records that the writer makes itself.
_OWN = frozenset({"version", "byteorder", ".data/serialization_id", ".data/version"})


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``model.pt``, a trace with dynamic batch and time, for the kernels that the target names.

    The integers and scales are those of the model's layers. The model is consumed. Raises
    ExportError for a scheme that the engine's kernels do not compute, or where this torch lacks the engine.
    """
    engine = target.execution["quantized_engine"]
    if engine not in torch.backends.quantized.supported_engines:
        raise ExportError(f"this build of torch lacks the quantized engine {engine}")
    layers = [name for name, module in model.named_modules() if isinstance(module, Quantized)]
    previous = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        for name in layers:
            replace(model, name, _packed(name, model.get_submodule(name), engine))
        traced = _trace(model)
        _save(traced, folder / MODEL_FILE)
    finally:
        torch.backends.quantized.engine = previous
    return Precision(
        requested=target.precision,
        weight_bytes=_weight_bytes(model),
        operators=_operators(traced),
        kernels={},
        quantized_layers=len(layers),
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Calls of torch's 8-bit linear operators."""
    return sum(count for name, count in kernels.items() if name.startswith("quantized::linear"))


class _Packed(nn.Module):
    """The layer's own integers and scales, packed as the engine's kernels take them."""

    def __init__(self, layer: DynamicLinear | StaticLinear) -> None:
        super().__init__()
        scales, zeros = layer.weight_scale.double(), torch.zeros_like(layer.weight_scale, dtype=torch.long)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of torch's quantized tensors
            weight = torch._make_per_channel_quantized_tensor(layer.weight.t().contiguous(), scales, zeros, 0)
        self.packed = torch.ops.quantized.linear_prepack(weight, layer.bias)
        self.weight_bytes = weight.numel()
        self.float_bytes = 4 * (layer.weight_scale.numel() + layer.bias.numel())


class _Dynamic(_Packed):
    def forward(self, input: Tensor) -> Tensor:
        # The last argument would halve the input's range to 7 bits, against saturation on x86 without VNNI. The scheme
        # has 8; docs/export.md lists the CPUs concerned.
        return torch.ops.quantized.linear_dynamic(input, self.packed, False)  # type: ignore[no-any-return]


class _Static(_Packed):
    """FBGEMM: quantized input, float output."""

    def __init__(self, layer: StaticLinear) -> None:
        super().__init__(layer)
        self.scale, self.zero_point = float(layer.input_scale), int(layer.input_zero_point)

    def forward(self, input: Tensor) -> Tensor:
        return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(  # type: ignore[no-any-return]
            input, self.scale, self.zero_point, self.packed
        )


class _StaticBothSides(_Static):
    """QNNPACK: quantized input and output, its only static layout."""

    def __init__(self, layer: StaticLinear) -> None:
        super().__init__(layer)
        assert layer.output_scale is not None
        assert layer.output_zero_point is not None
        self.output_scale, self.output_zero_point = float(layer.output_scale), int(layer.output_zero_point)

    def forward(self, input: Tensor) -> Tensor:
        rounded = torch.quantize_per_tensor(input, self.scale, self.zero_point, torch.quint8)
        product = torch.ops.quantized.linear(rounded, self.packed, self.output_scale, self.output_zero_point)
        return product.dequantize()  # type: ignore[no-any-return]


def _packed(name: str, layer: nn.Module, engine: str) -> nn.Module:
    if isinstance(layer, DynamicLinear):
        return _Dynamic(layer)
    if isinstance(layer, StaticLinear) and engine == "fbgemm" and layer.output_scale is None:
        return _Static(layer)
    if isinstance(layer, StaticLinear) and engine == "qnnpack" and layer.output_scale is not None:
        return _StaticBothSides(layer)
    scheme = layer.scheme if isinstance(layer, Quantized) else "no scheme"
    raise ExportError(f"{name}: torch's {engine} kernels cannot compute {scheme}")


def _trace(model: CTCModel) -> torch.jit.ScriptModule:
    example = example_inputs(model)
    named_by_frames = torch.jit._trace._create_interpreter_name_lookup_fn
    # Values would be named by the variables that hold them, as far as the tracer finds any: not the same every time.
    torch.jit._trace._create_interpreter_name_lookup_fn = lambda frames_up=1: lambda value: ""
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript's age
            # The first of a class has no number in its name, but only in a process that never traced it before.
            torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-untyped-call]
            return torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-any-return, no-untyped-call]
    finally:
        torch.jit._trace._create_interpreter_name_lookup_fn = named_by_frames


def _save(traced: torch.jit.ScriptModule, path: Path) -> None:
    """Save without what differs between exports: debug records with paths, and numbers counted through a process."""
    complete = path.with_suffix(".complete")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(traced, str(complete))
    reader = torch._C.PyTorchFileReader(str(complete))
    names = [name for name in reader.get_all_records() if not name.endswith(".debug_pkl") and name not in _OWN]
    code = {name for name in names if name.startswith("code/") or name in {"data.pkl", "constants.pkl"}}
    # Classes of one name are distinguished by such a number, in file names, code and (as newline-ended text) pickles.
    text = b"".join([name.encode() for name in names] + [reader.get_record(name) for name in sorted(code)])
    numbers = sorted({int(number) for number in _MANGLED.findall(text)})
    ranks = {number: rank for rank, number in enumerate(numbers)}

    def renumbered(content: bytes) -> bytes:
        return _MANGLED.sub(lambda match: b"___torch_mangle_%d" % ranks[int(match[1])], content)

    writer = torch._C.PyTorchFileWriter(str(path))
    for renamed, name in sorted((renumbered(name.encode()).decode(), name) for name in names):
        record = reader.get_record(name)
        record = renumbered(record) if name in code else record
        writer.write_record(renamed, record, len(record))
    writer.write_end_of_file()
    del reader
    complete.unlink()


def _operators(traced: torch.jit.ScriptModule) -> dict[str, int]:
    graph = traced.inlined_graph
    kinds = Counter(node.kind() for node in graph.nodes())
    return dict(sorted((kind, count) for kind, count in kinds.items() if kind.startswith(("aten::", "quantized::"))))


def _weight_bytes(model: nn.Module) -> dict[str, int]:
    packed = [module for module in model.modules() if isinstance(module, _Packed)]
    floats = sum(4 * value.numel() for value in model.parameters()) + sum(module.float_bytes for module in packed)
    return {"float": floats, "int8": sum(module.weight_bytes for module in packed)}
