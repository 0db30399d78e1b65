"""torch.export: a program of aten operators, in which quantized layers are written with quantize and dequantize."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from torch import Tensor, nn

from ...artifacts import Precision
from ...models import Checkpoint, CTCModel
from ...quantizers.layers.quantized import DynamicLinear, Quantized, StaticLinear
from ...quantizers.layers.rewrite import replace
from ...quiet import quiet
from ..errors import ExportError
from ..target import Target
from ..trace import dynamic_shapes, example_inputs

MODEL_FILE = "model.pt2"

_INT8 = (-128, 127, torch.int8)
_UINT8 = (0, 255, torch.uint8)


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``model.pt2``, dynamic in batch and time.

    The layout is that of torch's own PT2E quantization, so other backends can lower it too. Autocast is no part of
    it: the runtime turns it on by the manifest's ``execution``. The model is consumed. Raises ExportError for a scheme
    other than static and dynamic.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, Quantized)]
    for name in layers:
        layer = model.get_submodule(name)
        if isinstance(layer, DynamicLinear):
            replace(model, name, _DynamicLinear(layer))
        elif isinstance(layer, StaticLinear) and layer.output_scale is None:
            replace(model, name, _StaticLinear(layer))
        else:
            scheme = layer.scheme if isinstance(layer, Quantized) else "no scheme"
            raise ExportError(f"{name}: torch's 8-bit kernels cannot compute {scheme}")
    with quiet():
        program = torch.export.export(model, example_inputs(model), dynamic_shapes=dynamic_shapes(model))
    for node in program.graph.nodes:
        # Stack traces hold paths of the machine that exports.
        node.meta = {key: value for key, value in node.meta.items() if key in {"val", "tensor_meta"}}
    torch.export.save(program, folder / MODEL_FILE)
    stored: Counter[str] = Counter()
    for value in program.state_dict.values():
        stored[str(value.dtype).removeprefix("torch.")] += value.nbytes
    operators = Counter(str(node.target) for node in program.graph.nodes if node.op == "call_function")
    return Precision(
        requested=target.precision,
        weight_bytes=dict(sorted(stored.items())),
        operators=dict(sorted(operators.items())),
        kernels={},
        quantized_layers=len(layers),
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Calls of oneDNN's 8-bit linear operator, and of FBGEMM's, which rounds its input by its own range."""
    return kernels.get("onednn::qlinear_pointwise", 0) + kernels.get("quantized::linear_dynamic", 0)


class _Linear(nn.Module):
    bias: Tensor

    def __init__(self, layer: DynamicLinear | StaticLinear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.t().contiguous())
        self.register_buffer("weight_scale", layer.weight_scale)
        self.register_buffer("weight_zero_point", torch.zeros_like(layer.weight_scale, dtype=torch.int64))
        self.register_buffer("bias", layer.bias)

    def _product(self, restored: Tensor) -> Tensor:
        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.weight, self.weight_scale, self.weight_zero_point, 0, *_INT8
        )
        return nn.functional.linear(restored, weight, self.bias)


class _StaticLinear(_Linear):
    def __init__(self, layer: StaticLinear) -> None:
        super().__init__(layer)
        self.scale, self.zero_point = float(layer.input_scale), int(layer.input_zero_point)

    def forward(self, input: Tensor) -> Tensor:
        ops = torch.ops.quantized_decomposed
        rounded = ops.quantize_per_tensor(input, self.scale, self.zero_point, *_UINT8)
        return self._product(ops.dequantize_per_tensor(rounded, self.scale, self.zero_point, *_UINT8))


class _DynamicLinear(_Linear):
    def forward(self, input: Tensor) -> Tensor:
        ops = torch.ops.quantized_decomposed
        scale, zero_point = ops.choose_qparams.tensor(input, 0, 255, torch.finfo(torch.float32).eps, torch.uint8)
        rounded = ops.quantize_per_tensor.tensor(input, scale, zero_point, *_UINT8)
        return self._product(ops.dequantize_per_tensor.tensor(rounded, scale, zero_point, *_UINT8))
