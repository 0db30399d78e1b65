"""OpenVINO: the common ONNX graph, read by OpenVINO, with what its CPU plugin does slowly written another way."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir
import openvino as ov

from ...artifacts import Precision
from ...errors import last_line
from ...models import Checkpoint, CTCModel
from ...quantizers.layers.quantized import StaticLinear
from ..errors import ExportError
from ..onnx import writer as onnx
from ..target import Target
from . import rewrites as openvino_rewrites

MODEL_FILE = "openvino_model.xml"


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``openvino_model.xml`` and ``.bin``; inputs and outputs are those of the ONNX model.

    Float weights are stored as ``target.storage``. The model is consumed.
    """
    layers = onnx.quantized_layers(model)
    group_size = _two_level_group_size(model)
    graph = onnx.trace(model)
    with tempfile.TemporaryDirectory(prefix="qasr-", dir=folder.parent) as scratch:
        path = Path(scratch) / "model.onnx"
        ir.save(graph, path, external_data="model.onnx_data")
        del graph
        try:
            converted = ov.Core().read_model(path)
        except RuntimeError as error:
            raise ExportError(f"OpenVINO could not read this model's ONNX graph ({last_line(error)})") from error
        openvino_rewrites.apply(converted)
        if group_size is not None:
            openvino_rewrites.four_bit_weights(converted, group_size, mixed=target.formats != ())
        if target.formats:
            openvino_rewrites.store_narrow(converted)
        _rename(converted)
        ov.save_model(converted, folder / MODEL_FILE, compress_to_fp16=target.storage == "float16")
    return Precision(
        requested=target.precision,
        weight_bytes=_weight_bytes(folder / MODEL_FILE),
        operators=dict(sorted(Counter(node.get_type_name() for node in converted.get_ops()).items())),
        kernels={},
        quantized_layers=layers,
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Matrix products of 8-bit integers, and those that widen 8-bit weights as they read them.

    As the CPU plugin names them: FullyConnected:brgemm_avx512_I8 and FullyConnectedCompressed:brgemm_avx512_bf16.
    """
    return sum(
        count
        for name, count in kernels.items()
        if name.startswith("FullyConnectedCompressed:")
        or (name.startswith(("FullyConnected", "MatMul:")) and name.lower().endswith(("_i8", "_u8")))
    )


def _two_level_group_size(model: CTCModel) -> int | None:
    """Group size of the layers with two-level weights; None where no layer has them."""
    weights = [module.scheme.weight for module in model.modules() if isinstance(module, StaticLinear)]
    return next((weight.group_size for weight in weights if weight.two_level), None)


def _rename(model: ov.Model) -> None:
    """Name nodes by their index: OpenVINO numbers them through a process, so a second export would differ."""
    model.set_friendly_name("qasr")
    for index, node in enumerate(model.get_ordered_ops()):
        if node.get_type_name() not in {"Parameter", "Result"}:
            node.set_friendly_name(f"{node.get_type_name()}_{index}")


def _weight_bytes(path: Path) -> dict[str, int]:
    stored: Counter[str] = Counter()
    for node in ov.Core().read_model(path).get_ops():
        if node.get_type_name() == "Constant":
            stored[node.get_element_type().get_type_name()] += node.get_byte_size()
    return dict(sorted(stored.items()))
