"""Safetensors weights, in one file or in shards, loaded strictly: every difference is named at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from .errors import CheckpointError
from .vocabulary import read_json

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_FLOATS = frozenset({"F32", "F16", "BF16"})


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder; CheckpointError where there are none or a shard is absent."""
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    if not (folder / INDEX_FILE).is_file():
        others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.h5") for path in folder.glob(pattern))
        hint = f" ({', '.join(others)} cannot be used: save it as safetensors)" if others else ""
        raise CheckpointError(f"{folder}: no {SINGLE_FILE} and no {INDEX_FILE} in the checkpoint{hint}")
    index = read_json(folder / INDEX_FILE)
    names = sorted(set(index.get("weight_map", {}).values())) if isinstance(index, dict) else []
    if not names:
        raise CheckpointError(f"{folder / INDEX_FILE}: lists no weight file")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise CheckpointError(f"{folder}: shards missing: {', '.join(absent)}")
    return [folder / name for name in names]


def build(
    make: Callable[[], nn.Module], folder: Path, random_seed: int | None, optional: Collection[str] = ()
) -> nn.Module:
    """The module that ``make`` returns, with the weights in ``folder`` as float32, in eval mode.

    With a ``random_seed`` its own random weights are kept instead. ``optional``: see ``load_weights``.
    """
    if random_seed is not None:
        torch.manual_seed(random_seed)
        return make().eval()
    with torch.device("meta"):
        model = make()
    load_weights(model, weight_files(folder), optional)
    return model.eval()


def load_weights(model: nn.Module, files: list[Path], optional: Collection[str] = ()) -> None:
    """Fill a model built on the meta device with the files' tensors, as float32.

    ``optional`` names weights that files may lack (zeros then) or have for nothing. Raises CheckpointError that names
    all missing and surplus weights and all wrong shapes.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    with ExitStack() as stack:
        stored = dict(_entries(stack, files))
        shapes = {name: entry[1] for name, entry in stored.items() if name in expected or name not in optional}
        _check(
            {name: shape for name, shape in expected.items() if name in shapes or name not in optional}, shapes, files
        )
        state = {
            name: handle.get_tensor(name).to(torch.float32)
            for name, (handle, _, _) in stored.items()
            if name in expected
        }
    for name in expected.keys() - state.keys():
        state[name] = torch.zeros(expected[name])
    model.load_state_dict(state, assign=True)


def _entries(stack: ExitStack, files: list[Path]) -> Iterator[tuple[str, tuple[Any, tuple[int, ...], str]]]:
    for file in files:
        try:
            handle = stack.enter_context(safe_open(file, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: not a sound safetensors file ({error})") from None
        for name in handle.keys():  # noqa: SIM118 (a handle is no mapping)
            part = handle.get_slice(name)
            dtype = part.get_dtype()
            if dtype not in _FLOATS:
                raise CheckpointError(f"{file}: {name} is {dtype}; qasr reads F32, F16 and BF16 weights")
            yield name, (handle, tuple(part.get_shape()), dtype)


def _check(expected: dict[str, tuple[int, ...]], stored: dict[str, tuple[int, ...]], files: list[Path]) -> None:
    missing = sorted(expected.keys() - stored.keys())
    surplus = sorted(stored.keys() - expected.keys())
    wrong = [
        f"{name} is {stored[name]}, not {expected[name]}"
        for name in sorted(expected.keys() & stored.keys())
        if stored[name] != expected[name]
    ]
    problems = [
        f"{title}: {', '.join(names)}"
        for title, names in (("missing", missing), ("surplus", surplus), ("shapes", wrong))
        if names
    ]
    if problems:
        raise CheckpointError(f"{files[0].parent}: the weights do not fit the configuration; {'; '.join(problems)}")
