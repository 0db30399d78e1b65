"""A model quantized in the order in which it runs: each layer sees the outputs of its quantized predecessors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ...models import CTCModel
from ...models.stages import linear_stages, packed, run_stage, stage_count, unpacked
from ..calibration import CalibrationSet, Track


class _StopError(Exception):
    """Ends a forward pass once the layer's input has been observed."""


class Sequence:
    """The calibration clips on their way through the model, one stage after the other; see ``models.stages``.

    Between stages every clip's state is kept: for 10 s of the full-size model 2 MB of hidden states (1, T, H).
    """

    def __init__(self, model: CTCModel, calibration: CalibrationSet) -> None:
        self._model = model
        self._stages = {name: one.stage for name, one in linear_stages(model).items()}
        self._given: list[Any] = list(calibration.inputs())

    def walk(self, chosen: Collection[str], track: Track) -> Iterator[tuple[int, list[str]]]:
        """Each stage with the ``chosen`` Linears in it, in the order in which they run.

        The clips pass a stage, with the layers that it then has, when the next stage is requested.
        """
        stages = range(stage_count(self._model))
        for stage in track(stages, "Quantizing layer by layer", len(stages)):
            yield stage, [name for name, own in self._stages.items() if own == stage and name in chosen]
            self._given = [packed(self._run(stage, given)) for given in self._given]

    def observe(self, stage: int, name: str, observe: Callable[[Tensor], None]) -> None:
        """Run the clips through ``stage`` up to the layer called ``name``; ``observe`` gets its inputs (T, in)."""

        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            observe(inputs[0].flatten(0, -2))
            raise _StopError

        handle = self._model.get_submodule(name).register_forward_pre_hook(hook)
        try:
            for given in self._given:
                with contextlib.suppress(_StopError):
                    self._run(stage, given)
        finally:
            handle.remove()

    @torch.inference_mode()
    def _run(self, stage: int, given: Any) -> Any:
        return run_stage(self._model, stage, unpacked(given))
