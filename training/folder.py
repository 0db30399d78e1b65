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
from ..models.vocabulary import write_json
from ..models.wav2vec2_bert.stock import WITHOUT_SPEC_AUGMENT, others, pieces
from ..models.wav2vec2_bert.stock import tensors as tensors_of
from ..quantizers import GroupedLinear, StaticLinear
from ..quantizers.layers.stored import save
from .errors import TrainingError
from .trainer import Outcome

_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"


def state_folder(output: Path) -> Path:
    """Where the state of an unfinished training for ``output`` stands."""
    return output.with_name(f"{output.name}.training")


def check_output(output: Path, *, force: bool) -> None:
    """Raise TrainingError where something stands at ``output`` that must not be replaced, or nothing can be written."""
    place = state_folder(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{output}: cannot write there ({error.strerror}); choose another place") from None
    if not os.access(output.parent, os.W_OK):
        raise TrainingError(f"{output}: cannot write there; choose another place")
    if place.exists() and not place.is_dir():
        raise TrainingError(f"{place}: is a file, and the state of the training is to stand there; move it away")
    if not output.exists():
        return
    if not force:
        raise TrainingError(f"{output}: exists already; choose another place, or add --force to replace it")
    if not (output / TRAINING_FILE).is_file():
        raise TrainingError(f"{output}: is no trained checkpoint, so --force does not replace it")


def write(checkpoint: Checkpoint, outcome: Outcome, record: Mapping[str, Any], output: Path, *, partial: bool) -> None:
    """Write the checkpoint to ``output``, replacing what stands there; it appears whole or not at all.

    Weights are float32, those of quantized layers rounded to what their schemes hold.
    """
    with staging_folder(output) as staging:
        checkpoint.copy_configuration(staging)
        config = json.loads((staging / _CONFIG).read_text(encoding="utf-8"))
        write_json(staging / _CONFIG, config | {"dtype": "float32"} | WITHOUT_SPEC_AUGMENT)
        tensors = others(outcome.model)
        for piece in pieces(outcome.model):
            tensors |= tensors_of(piece, *_weight_and_bias(piece.layer))
        stored = {name: tensor.float().contiguous() for name, tensor in sorted(tensors.items())}
        save_file(stored, staging / _WEIGHTS, metadata={"format": "pt"})
        (staging / _WEIGHTS).chmod(0o644)  # safetensors lets only the owner read
        layers = {name: outcome.model.get_submodule(name) for name in outcome.layers}
        save(layers, staging / TRAINED_FILE, partial=partial)  # type: ignore[arg-type]
        write_json(staging / TRAINING_FILE, record)
        put_in_place(staging, output.resolve())


def _weight_and_bias(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) as floats; where there is no bias, zeros."""
    if isinstance(layer, StaticLinear):
        return (layer.weight.float() * layer.weight_scale).t(), layer.bias
    assert isinstance(layer, GroupedLinear | nn.Linear)
    weight = layer.weight.detach()
    return weight, torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
