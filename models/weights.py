"""Safetensors weights, in one file or in shards, loaded strictly: every difference is named at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from .errors import CheckpointError
from .files.diagnosis import training_state
from .files.stored import check_fetched, read_object

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_FLOATS = frozenset({"F32", "F16", "BF16"})
# Parts of names that training puts around a model: DistributedDataParallel's and torch.compile's.
_WRAPPERS = frozenset({"module", "_orig_mod"})
_SHOWN = 5


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder; CheckpointError where there are none or a shard is absent."""
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    if not (folder / INDEX_FILE).is_file():
        raise CheckpointError(f"{folder}: no {SINGLE_FILE} and no {INDEX_FILE} in the checkpoint{_instead(folder)}")
    shards = read_object(folder / INDEX_FILE).get("weight_map")
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    if not names:
        raise CheckpointError(f"{folder / INDEX_FILE}: lists no weight file")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise CheckpointError(f"{folder}: shards missing: {', '.join(absent)}")
    return [folder / name for name in names]


def _instead(folder: Path) -> str:
    """What a folder without weights has in their place, in brackets."""
    shards = sorted(path.name for path in folder.glob("model-*.safetensors"))
    if shards:
        return f" ({', '.join(shards[:_SHOWN])}: shards without their index)"
    state = training_state(folder)
    patterns = ("*.bin", "*.pt", "*.h5")
    others = {path.name for pattern in patterns for path in folder.glob(pattern)} - {*state, "training_args.bin"}
    if others:
        return f" ({', '.join(sorted(others))} cannot be used: save it as safetensors)"
    return f" ({', '.join(state[:_SHOWN])}: the state of a training, not a model)" if state else ""


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

    ``optional`` names weights that files may lack (zeros then) or have for nothing. Names may have the prefixes of
    ``torch.compile`` and of distributed training. Raises CheckpointError that names all missing and surplus weights and
    all wrong shapes, or weights that are not finite.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    with ExitStack() as stack:
        stored: dict[str, _Entry] = {}
        for entry in _entries(stack, files):
            name = entry.name if entry.name in expected else _unwrapped(entry.name)
            if name in stored:
                raise CheckpointError(
                    f"{files[0].parent}: has {stored[name].name} and {entry.name}, which are the same"
                )
            stored[name] = entry
        shapes = {name: entry.shape for name, entry in stored.items() if name in expected or name not in optional}
        _check(
            {name: shape for name, shape in expected.items() if name in shapes or name not in optional}, shapes, files
        )
        state = {
            name: entry.handle.get_tensor(entry.name).to(torch.float32)
            for name, entry in stored.items()
            if name in expected
        }
    _check_finite({name: tensor for name, tensor in state.items() if name not in optional}, files)
    for name in expected.keys() - state.keys():
        state[name] = torch.zeros(expected[name])
    model.load_state_dict(state, assign=True)


class _Entry(NamedTuple):
    name: str
    shape: tuple[int, ...]
    handle: Any


def _entries(stack: ExitStack, files: list[Path]) -> Iterator[_Entry]:
    for file in files:
        try:
            handle = stack.enter_context(safe_open(file, framework="pt"))
        except (SafetensorError, OSError) as error:
            check_fetched(file)
            raise CheckpointError(
                f"{file}: not a sound safetensors file ({error}); if it was cut short on its way here, fetch it again"
            ) from None
        for name in handle.keys():  # noqa: SIM118 (a handle is no mapping)
            part = handle.get_slice(name)
            dtype = part.get_dtype()
            if dtype not in _FLOATS:
                raise CheckpointError(f"{file}: {name} is {dtype}; qasr reads F32, F16 and BF16 weights")
            yield _Entry(name, tuple(part.get_shape()), handle)


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _check_finite(state: dict[str, torch.Tensor], files: list[Path]) -> None:
    bad = [f"{name} ({'NaN' if t.isnan().any() else 'inf'})" for name, t in state.items() if not t.isfinite().all()]
    if bad:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise CheckpointError(
            f"{files[0].parent}: weights that are not finite: {', '.join(bad[:_SHOWN])}{more}; "
            "take a checkpoint from before the training diverged"
        )


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
