"""Checkpoints of optimum-quanto, which transformers cannot load."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ...artifacts import Artifact

MAP_FILE = "quanto_qmap.json"


def load_model(artifact: Artifact, kind: Any) -> Any:
    """A model of the transformers class ``kind`` in float32 on the CPU, with the artifact's weights.

    Raises ValueError for missing or unknown tensors, and errors of the libraries.
    """
    from optimum.quanto import requantize
    from optimum.quanto.library.extensions.cpp import ext
    from safetensors.torch import load_file

    # The library would compile these operators with a C++ compiler, which takes half a minute and is no faster.
    ext._lib = SimpleNamespace(unpack=unpack)
    state = load_file(artifact.path("model.safetensors"))
    layers = json.loads(artifact.path(MAP_FILE).read_text(encoding="utf-8"))
    stored = {name.partition(".weight._")[0] + ".weight" if ".weight._" in name else name for name in state}
    with torch.device("meta"):
        model = kind(kind.config_class.from_pretrained(artifact.folder))
    needed = {name for name, _ in model.named_parameters()} | {
        f"{layer}.{side}_scale" for layer in layers for side in ("input", "output")
    }
    # Parameters that the file lacks would silently keep arbitrary values.
    if stored != needed:
        raise ValueError(f"tensors missing or unknown: {', '.join(sorted(stored ^ needed)[:3])}")
    requantize(model, state, layers, torch.device("cpu"))
    return model


def unpack(packed: Tensor, bits: int) -> Tensor:
    """Codes (groups, n) uint8: the lowest bits of all rows are the first groups, the next bits the next groups."""
    return torch.cat([packed >> shift & (2**bits - 1) for shift in range(0, 8, bits)])
