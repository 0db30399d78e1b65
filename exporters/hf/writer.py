"""Checkpoints, mostly of few bits, that stock transformers loads, with the format's library and no line of qasr.

Pointwise convolutions are ``Conv1d`` in the stock module, which no format here knows; they stay in float.
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
from ...models import DeployableCTC
from ...models.vocabulary import write_json
from ...models.wav2vec2_bert.stock import WITHOUT_SPEC_AUGMENT, Piece, others, pieces
from ...models.wav2vec2_bert.stock import tensors as tensors_of
from ...quantizers import Quantized
from ...recitation import multilevel
from ..target import Target
from . import formats as hf_formats

MODEL_FILE = "model.safetensors"
CLASS_FILE = "modeling_multi_level_ctc.py"
CONFIG_FILE = "config.json"
MAP_FILE = "quanto_qmap.json"
"""optimum-quanto's name for it."""


def write(model: DeployableCTC, target: Target, folder: Path) -> Precision:
    """Write ``model.safetensors`` and the quantization into ``config.json``, which stands in ``folder`` already.

    Models of several levels get the file of their class beside it. What is not quantized is stored as float16.
    """
    layers = [module for module in model.modules() if isinstance(module, Quantized)]
    tensors = {name: tensor.half() for name, tensor in others(model).items()}
    ignored = []
    for piece in pieces(model):
        if isinstance(piece.layer, Quantized):
            tensors |= hf_formats.tensors(piece)
        else:
            tensors |= _float(piece)
            ignored.append(piece.name)
    stored = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    save_file(stored, folder / MODEL_FILE, metadata={"format": "pt"})
    (folder / MODEL_FILE).chmod(0o644)  # safetensors lets only the owner read
    _configure(folder, layers, ignored, multilevel_model=len(model.levels) > 1)
    layer_types = hf_formats.quantization_map(model)
    if layer_types:
        write_json(folder / MAP_FILE, layer_types)
    return Precision(
        requested=target.precision,
        weight_bytes=_weight_bytes(stored),
        operators={},
        kernels={},
        quantized_layers=sum(isinstance(piece.layer, Quantized) for piece in pieces(model)),
    )


def integer_kernels(kernels: Mapping[str, int]) -> int:
    """Modules whose weights transformers read from codes."""
    return sum(count for name, count in kernels.items() if name != "float Linear")


def _float(piece: Piece) -> dict[str, Tensor]:
    layer = piece.layer
    assert isinstance(layer, nn.Linear)
    bias = None if layer.bias is None else layer.bias.detach()
    return {name: tensor.half() for name, tensor in tensors_of(piece, layer.weight.detach(), bias).items()}


def _configure(folder: Path, layers: list[Any], ignored: list[str], *, multilevel_model: bool) -> None:
    path = folder / CONFIG_FILE
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config |= hf_formats.configuration(layers, ignored)
    config |= WITHOUT_SPEC_AUGMENT
    if multilevel_model:
        module = Path(CLASS_FILE).stem
        config["auto_map"] = {
            "AutoConfig": f"{module}.MultiLevelCTCConfig",
            "AutoModel": f"{module}.Wav2Vec2BertForMultilevelCTC",
            "AutoModelForCTC": f"{module}.Wav2Vec2BertForMultilevelCTC",
        }
        shutil.copyfile(multilevel.__file__, folder / CLASS_FILE)
    write_json(path, config)


def _weight_bytes(stored: Mapping[str, Tensor]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for tensor in stored.values():
        found[str(tensor.dtype).removeprefix("torch.")] += tensor.nbytes
    return dict(sorted(found.items()))
