"""Checkpoints that stock transformers loads, with the format's library and without qasr.

Convolutions are ``Conv1d`` in the stock module, which no format here knows; they stay in float.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from ...artifacts import Precision
from ...models import Checkpoint, CTCModel, StockLayer
from ...models.files.stored import write_json
from ...models.write_back import tensors_of
from ...quantizers.layers.quantized import Quantized
from ..target import Target
from . import formats

MODEL_FILE = "model.safetensors"
CLASS_FILE = "modeling_multi_level_ctc.py"
CONFIG_FILE = "config.json"
MAP_FILE = "quanto_qmap.json"
"""optimum-quanto's name for it."""


def write(model: CTCModel, target: Target, checkpoint: Checkpoint, folder: Path) -> Precision:
    """Write ``model.safetensors`` and add the quantization to ``config.json``.

    A class that transformers lacks is copied beside it. What is not quantized is stored as float16.
    """
    layers = [module for module in model.modules() if isinstance(module, Quantized)]
    stock_layers = list(checkpoint.architecture.stock_layers(model))
    tensors = {name: tensor.half() for name, tensor in checkpoint.architecture.other_weights(model).items()}
    floats = [one for one in stock_layers if not isinstance(one.layer, Quantized)]
    for one in stock_layers:
        tensors |= formats.tensors(one) if isinstance(one.layer, Quantized) else _float(one)
    stored = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    save_file(stored, folder / MODEL_FILE, metadata={"format": "pt"})
    (folder / MODEL_FILE).chmod(0o644)  # safetensors lets only the owner read
    _configure(folder, checkpoint, formats.configuration(layers, [one.name for one in floats]))
    layer_types = formats.quantization_map(stock_layers)
    if layer_types:
        write_json(folder / MAP_FILE, layer_types)
    return Precision(
        requested=target.precision,
        weight_bytes=_weight_bytes(stored),
        operators={},
        kernels={},
        quantized_layers=len(stock_layers) - len(floats),
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Modules whose weights transformers read from codes."""
    return sum(count for name, count in kernels.items() if name != "float Linear")


def _float(stock_layer: StockLayer) -> dict[str, Tensor]:
    layer = stock_layer.layer
    assert isinstance(layer, nn.Linear)
    bias = None if layer.bias is None else layer.bias.detach()
    return {name: tensor.half() for name, tensor in tensors_of(stock_layer, layer.weight.detach(), bias).items()}


def _configure(folder: Path, checkpoint: Checkpoint, quantization: dict[str, Any]) -> None:
    path = folder / CONFIG_FILE
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config = checkpoint.architecture.stock_config(stored | quantization)
    code = checkpoint.architecture.remote_code(checkpoint.config)
    if code is not None:
        module = Path(CLASS_FILE).stem
        config["auto_map"] = {
            "AutoConfig": f"{module}.{code.config_class}",
            "AutoModel": f"{module}.{code.model_class}",
            "AutoModelForCTC": f"{module}.{code.model_class}",
        }
        shutil.copyfile(code.file, folder / CLASS_FILE)
    write_json(path, config)


def _weight_bytes(stored: Mapping[str, Tensor]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tensor in stored.values():
        counts[str(tensor.dtype).removeprefix("torch.")] += tensor.nbytes
    return dict(sorted(counts.items()))
