"""Quantized layers in a safetensors file: the result of a training, stored beside the checkpoint bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from torch import Tensor, nn

from ...models import CheckpointError, CTCModel
from ..scheme import Scheme
from .grouped import GroupedLinear
from .quantized import StaticLinear
from .rewrite import replace

_FORMAT = 1
_ENTRY = "qasr"
_STATIC = ("weight", "weight_scale", "bias", "input_scale", "input_zero_point")
_OUTPUT = ("output_scale", "output_zero_point")
_GROUPED = ("codes", "scale", "zero_point", "bias")

Layer = StaticLinear | GroupedLinear


@dataclass(frozen=True)
class Stored:
    """Layers by name, and whether only attention and feed-forward are among them."""

    layers: Mapping[str, Layer]
    partial: bool

    @property
    def method(self) -> str:
        """What manifests call it."""
        return "qat-partial" if self.partial else "qat"

    def put_into(self, model: CTCModel) -> None:
        """Replace the float layers of the checkpoint. Raises CheckpointError for names or shapes that are not its."""
        for name, layer in self.layers.items():
            try:
                linear = model.get_submodule(name)
            except AttributeError:
                raise CheckpointError(f"the trained schemes have a layer {name}, which the model lacks") from None
            if not isinstance(linear, nn.Linear) or (linear.bias is not None and linear.bias.shape != layer.bias.shape):
                raise CheckpointError(f"the trained scheme of {name} does not fit the model's layer")
            replace(model, name, layer)


class _Versioned(msgspec.Struct):
    format: int


class _Header(msgspec.Struct):
    format: int
    partial: bool
    schemes: dict[str, Scheme]


def save(layers: Mapping[str, Layer], path: Path, *, partial: bool) -> None:
    """Write the layers' integers, scales, zero points and biases, with their schemes in the file's header."""
    from safetensors.torch import save_file

    tensors = {
        f"{name}.{part}": tensor.contiguous() for name, layer in layers.items() for part, tensor in _parts(layer)
    }
    header = _Header(_FORMAT, partial, {name: layer.scheme for name, layer in sorted(layers.items())})
    # One entry alone: safetensors writes several in an order of chance.
    save_file(dict(sorted(tensors.items())), path, metadata={_ENTRY: msgspec.json.encode(header).decode()})
    path.chmod(0o644)  # safetensors lets only the owner read


def load(path: Path) -> Stored:
    """What ``save`` wrote. Raises CheckpointError for anything else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_ENTRY, "")
            written = msgspec.json.decode(text, type=_Versioned).format
            if written != _FORMAT:
                raise CheckpointError(
                    f"{path}: trained schemes of format {written}, where this qasr reads {_FORMAT}; train again"
                )
            header = msgspec.json.decode(text, type=_Header)
            layers = {name: _layer(name, scheme, file.get_tensor) for name, scheme in header.schemes.items()}
    except (SafetensorError, OSError, msgspec.DecodeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a sound file of trained schemes ({error})") from None
    return Stored(layers, header.partial)


def _parts(layer: Layer) -> Iterator[tuple[str, Tensor]]:
    names = _GROUPED if isinstance(layer, GroupedLinear) else (*_STATIC, *_OUTPUT)
    for name in names:
        tensor = getattr(layer, name)
        if tensor is not None:
            yield name, tensor


def _layer(name: str, scheme: Scheme, tensor: object) -> Layer:
    assert callable(tensor)
    if scheme.weight.group_size is not None:
        codes, scale, zero_point, bias = (tensor(f"{name}.{part}") for part in _GROUPED)
        return GroupedLinear(codes, scale, zero_point, bias, scheme.weight)
    weight, weight_scale, bias, input_scale, input_zero_point = (tensor(f"{name}.{part}") for part in _STATIC)
    layer = StaticLinear.of(weight.t(), weight_scale, bias, float(input_scale), int(input_zero_point))
    if scheme.output.mode == "static":
        layer.round_output(*(tensor(f"{name}.{part}").item() for part in _OUTPUT))
    return layer
