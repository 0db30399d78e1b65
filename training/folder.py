"""The trained checkpoint on disk: weights as stock transformers loads them, and the schemes beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..artifacts import put_in_place, staging_folder
from ..models import TRAINED_FILE, TRAINING_FILE, Checkpoint
from ..models.files.stored import write_json
from ..models.write_back import tensors_of
from ..quantizers.layers.grouped import GroupedLinear
from ..quantizers.layers.quantized import StaticLinear
from ..quantizers.layers.stored import save
from .errors import TrainingError
from .trainer import Outcome

_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"


def state_folder(output: Path) -> Path:
    """Folder of the state of an unfinished training for ``output``."""
    return output.with_name(f"{output.name}.training")


def check_output(output: Path, *, force: bool) -> None:
    """Raise TrainingError where ``output`` exists and must not be replaced, or cannot be written."""
    state = state_folder(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{output}: cannot write there ({error.strerror}); choose another folder") from None
    if not os.access(output.parent, os.W_OK):
        raise TrainingError(f"{output}: cannot write there; choose another folder")
    if state.exists() and not state.is_dir():
        raise TrainingError(f"{state}: is a file, but must be the folder of the training's state; move it away")
    if not output.exists():
        return
    if not force:
        raise TrainingError(f"{output}: exists already; choose another folder, or add --force to replace it")
    if not (output / TRAINING_FILE).is_file():
        raise TrainingError(f"{output}: is no trained checkpoint, so --force does not replace it")


def write(checkpoint: Checkpoint, outcome: Outcome, record: Mapping[str, Any], output: Path, *, partial: bool) -> None:
    """Write the checkpoint to ``output`` atomically, replacing an older one.

    Weights are float32; those of quantized layers have the values of their schemes.
    """
    with staging_folder(output) as staging:
        checkpoint.copy_configuration(staging)
        config = json.loads((staging / _CONFIG).read_text(encoding="utf-8"))
        write_json(staging / _CONFIG, checkpoint.architecture.stock_config(config) | {"dtype": "float32"})
        tensors = checkpoint.architecture.other_weights(outcome.model)
        for stock_layer in checkpoint.architecture.stock_layers(outcome.model):
            tensors |= tensors_of(stock_layer, *_weight_and_bias(stock_layer.layer))
        stored = {name: tensor.float().contiguous() for name, tensor in sorted(tensors.items())}
        save_file(stored, staging / _WEIGHTS, metadata={"format": "pt"})
        (staging / _WEIGHTS).chmod(0o644)  # safetensors lets only the owner read
        layers = {name: outcome.model.get_submodule(name) for name in outcome.layers}
        save(layers, staging / TRAINED_FILE, partial=partial)  # type: ignore[arg-type]
        write_json(staging / TRAINING_FILE, record)
        put_in_place(staging, output.resolve())


def _weight_and_bias(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) as floats; zeros for a layer without bias."""
    if isinstance(layer, StaticLinear):
        return (layer.weight.float() * layer.weight_scale).t(), layer.bias
    assert isinstance(layer, GroupedLinear | nn.Linear)
    weight = layer.weight.detach()
    return weight, torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
