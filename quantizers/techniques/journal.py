"""Finished stages of a long quantization, kept on disk so that an interrupted one resumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from ...models import CTCModel
from ..errors import QuantizationError
from ..layers.grouped import GroupedLinear
from ..layers.rewrite import replace
from ..scheme import WeightScheme
from ..storage import make_folder, model_hash

_PARTS = ("codes", "scale", "zero_point", "bias")


class Journal:
    """A folder with one file per stage; without a folder nothing is kept.

    A file's name is a hash over the float model, ``identity`` and the stages up to it, so that it cannot be used for
    another model, other options or another version of the algorithm. Each file is written atomically.
    """

    def __init__(self, folder: Path | None, identity: Iterable[str]) -> None:
        self._folder = folder
        if folder is not None:
            make_folder(folder)
        self._identity = " ".join(identity)
        self._key: str | None = None
        self._pending: Path | None = None

    def restore(self, model: CTCModel, stage: int, names: Iterable[str]) -> bool:
        """Install the kept layers of a stage, if there are any; call it before the stage's layers are replaced."""
        if self._folder is None:
            return False
        from safetensors.torch import load_file

        names = list(names)
        self._pending = self._path(model, stage, names)
        if not self._pending.is_file():
            return False
        stored = load_file(self._pending)
        for name in names:
            bits, group_size, symmetric, two_level = stored[f"{name}.scheme"].tolist()
            scheme = WeightScheme(bits, bool(symmetric), group_size, bool(two_level))
            codes, scale, zero_point, bias = (stored[f"{name}.{part}"] for part in _PARTS)
            replace(model, name, GroupedLinear(codes, scale, zero_point, bias, scheme))
        return True

    def store(self, model: CTCModel, names: Iterable[str]) -> None:
        """Keep the quantized layers of the stage of the last call of ``restore``."""
        if self._pending is None:
            return
        from safetensors.torch import save_file

        kept: dict[str, torch.Tensor] = {}
        for name in names:
            layer = model.get_submodule(name)
            assert isinstance(layer, GroupedLinear)
            weight = layer.scheme.weight
            scheme = [weight.bits, weight.group_size, weight.symmetric, weight.two_level]
            kept |= {f"{name}.{part}": getattr(layer, part).contiguous() for part in _PARTS}
            kept[f"{name}.scheme"] = torch.tensor([int(value or 0) for value in scheme])
        unfinished = self._pending.with_suffix(f".{os.getpid()}")
        try:
            save_file(kept, unfinished)
            unfinished.replace(self._pending)
        except OSError as error:
            raise QuantizationError(f"{self._pending.parent}: cannot be written ({error.strerror or error})") from None

    def _path(self, model: CTCModel, stage: int, names: list[str]) -> Path:
        assert self._folder is not None
        if self._key is None:
            # The first call comes before any layer is replaced, so this hashes the float model.
            self._key = f"{self._identity} {model_hash(model)}"
        # The inputs of a stage depend on the stages before it, so their names enter the key.
        self._key = hashlib.sha256(" ".join((self._key, *names)).encode()).hexdigest()
        return self._folder / f"stage-{stage:03d}-{self._key[:24]}.safetensors"
