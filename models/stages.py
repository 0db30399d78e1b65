"""A forward pass in stages: everything before the blocks, each block, everything after them.

Stage 0 is ``begin``, stage i is block i − 1, the last one is ``finish``. The state after a stage can be kept and
the pass resumed from it, so that methods that change one layer run only the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .ctc import CTCModel
from .errors import UnsupportedModelError

# For values of a relative index or of lengths. A T × T index in bytes takes an eighth of its int64.
_NARROW = (torch.uint8, torch.int16, torch.int32)


@dataclass(frozen=True)
class LinearStage:
    """Where in the forward pass a Linear runs."""

    stage: int
    rows_per_second: float
    """Rows of the layer's input per second of audio, measured on 1.28 s."""


def stage_count(model: CTCModel) -> int:
    """Number of stages: the blocks and two."""
    return len(model.blocks) + 2


def run_stage(model: CTCModel, stage: int, given: Any) -> Any:
    """Run one stage on the state that the previous stage returned; stage 0 takes (inputs, lengths).

    The last stage returns one tensor of logits (B, T', V) per level.
    """
    if stage == 0:
        return model.begin(*given)
    blocks = model.blocks
    return blocks[stage - 1](given) if stage <= len(blocks) else tuple(model.finish(given).values())


def resume(model: CTCModel, stage: int, given: Any) -> tuple[Tensor, ...]:
    """Run ``stage`` and all stages behind it: the logits of every level."""
    for one in range(stage, stage_count(model)):
        given = run_stage(model, one, given)
    return given  # type: ignore[no-any-return]


def given_to_stages(model: CTCModel, inputs: Tensor, lengths: Tensor) -> Iterator[Any]:
    """The argument of each stage in order, and the logits last."""
    given: Any = (inputs, lengths)
    for stage in range(stage_count(model)):
        yield given
        given = run_stage(model, stage, given)
    yield given


@torch.inference_mode()
def linear_stages(model: CTCModel) -> dict[str, LinearStage]:
    """Every Linear by its dotted name, in the order in which they run; measured by one pass over 1.28 s of zeros.

    Raises UnsupportedModelError for a Linear that the forward pass does not use.
    """
    stages: dict[str, LinearStage] = {}
    stage = 0
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}

    def record(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].numel() // inputs[0].shape[-1]
            stages.setdefault(name, LinearStage(stage, rows / seconds))

        return hook

    given: Any = model.example_inputs(1, model.example_frames)
    seconds = model.example_frames / model.front_end.frames_per_second
    with ExitStack() as hooks:
        for name, linear in linears.items():
            hooks.callback(linear.register_forward_pre_hook(record(name)).remove)
        for stage in range(stage_count(model)):
            given = run_stage(model, stage, given)
    unused = [name for name in linears if name not in stages]
    if unused:
        raise UnsupportedModelError(f"the forward pass does not use the layer {unused[0]}")
    return stages


def packed(given: Any) -> Any:
    """A state to keep: its integers are in the narrowest type that represents them; see ``unpacked``."""
    return _mapped(given, _narrowed)


def unpacked(given: Any) -> Any:
    """The state that was ``packed``, with int64 integers."""
    return _mapped(given, lambda value: value.long() if value.dtype in _NARROW else value)


def _narrowed(value: Tensor) -> Tensor:
    if value.dtype != torch.int64 or value.numel() == 0:
        return value
    low, high = (int(limit) for limit in torch.aminmax(value))
    for dtype in _NARROW:
        limits = torch.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return value.to(dtype)
    return value


def _mapped(given: Any, change: Any) -> Any:
    if isinstance(given, Tensor):
        return change(given)
    if not isinstance(given, tuple):
        return given
    values = [_mapped(value, change) for value in given]
    return type(given)(*values) if hasattr(given, "_fields") else tuple(values)
