"""Finished segments of a long quantization, kept on disk so that it goes on where it was killed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from ...models import DeployableCTC
from ..layers.grouped import GroupedLinear
from ..scheme import WeightScheme
from ..technique import CalibrationSet, Options, QuantizationError, make_folder, model_hash, replace

_PARTS = ("codes", "scale", "zero_point", "bias")


class Journal:
    """A folder with a file a segment; None keeps nothing.

    A file is named by a hash over the float model, the options, the calibration set and the segments up to it, so that
    it can serve no other model, and it appears whole or not at all.
    """

    def __init__(self, folder: Path | None, technique: str, options: Options, calibration: CalibrationSet) -> None:
        self._folder = folder
        if folder is not None:
            make_folder(folder)
        self._told = f"{technique} {options.identity()} {calibration.identity()}"
        self._key: str | None = None
        self._pending: Path | None = None

    def restore(self, model: DeployableCTC, segment: str, names: Iterable[str]) -> bool:
        """Put the quantized layers of a segment in place, if they were kept. To be called before they are replaced."""
        if self._folder is None:
            return False
        from safetensors.torch import load_file

        names = list(names)
        self._pending = self._path(model, segment, names)
        if not self._pending.is_file():
            return False
        stored = load_file(self._pending)
        for name in names:
            bits, group_size, symmetric, two_level = stored[f"{name}.scheme"].tolist()
            scheme = WeightScheme(bits, bool(symmetric), group_size, bool(two_level))
            codes, scale, zero_point, bias = (stored[f"{name}.{part}"] for part in _PARTS)
            replace(model, name, GroupedLinear(codes, scale, zero_point, bias, scheme))
        return True

    def store(self, model: DeployableCTC, segment: str, names: Iterable[str]) -> None:
        """Keep the quantized layers of the segment for which ``restore`` was asked last."""
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

    def _path(self, model: DeployableCTC, segment: str, names: list[str]) -> Path:
        assert self._folder is not None
        if self._key is None:
            # Of the float model: nothing is replaced before the first segment is asked for.
            self._key = f"{self._told} {model_hash(model)}"
        # What a segment sees depends on those before it, which are named by the same key.
        self._key = hashlib.sha256(" ".join((self._key, *names)).encode()).hexdigest()
        return self._folder / f"{segment}-{self._key[:24]}.safetensors"
