"""A model quantized in the order in which it computes: each layer sees what its quantized predecessors give."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from ...models import DeployableCTC
from ...models.layers.attention import key_mask, relative_index
from ..technique import CalibrationSet, Track


class _SeenError(Exception):
    """Raised in a forward pass once its layer's input has been seen."""


class Sequence:
    """The calibration set on its way through the model, one segment (a conformer layer, or an end) after the other.

    Between segments every clip's hidden states (1, T, H) are kept: 2 MB for 10 s of the full-size model. Each clip is
    alone, so no padded frame is ever seen.
    """

    def __init__(self, model: DeployableCTC, calibration: CalibrationSet) -> None:
        self._model = model
        self._hidden = list(calibration.features())
        self._lengths = [torch.tensor([clip.shape[1]]) for clip in self._hidden]
        self.segments = ("projection", *(f"layers.{place}" for place in range(len(model.layers))), "heads")

    def walk(self, chosen: Iterable[str], track: Track) -> Iterator[tuple[str, list[str]]]:
        """Each segment and those of the ``chosen`` Linears in it, in the order in which they compute.

        The clips pass the segment when the next one is asked for: as the caller has left it.
        """
        names = list(chosen)
        for segment in track(self.segments, "Quantizing layer by layer", len(self.segments)):
            yield segment, self._layers(segment, names)
            self._advance(segment)

    def _layers(self, segment: str, chosen: Iterable[str]) -> list[str]:
        rooms = ("adapter.", "heads.") if segment == "heads" else f"{segment}."
        inside = [name for name in chosen if f"{name}.".startswith(rooms)]
        order: list[str] = []
        hooks = [
            self._model.get_submodule(name).register_forward_hook(lambda *_, name=name: order.append(name))
            for name in inside
        ]
        try:
            self._run(segment, 0)
        finally:
            for hook in hooks:
                hook.remove()
        return order

    def show(self, segment: str, name: str, look: Callable[[Tensor], None]) -> None:
        """Run the clips through ``segment`` as far as the layer called ``name``, whose input (T, in) ``look`` gets."""

        def seen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            look(inputs[0].flatten(0, -2))
            raise _SeenError

        hook = self._model.get_submodule(name).register_forward_pre_hook(seen)
        try:
            for clip in range(len(self._hidden)):
                with contextlib.suppress(_SeenError):
                    self._run(segment, clip)
        finally:
            hook.remove()

    def _advance(self, segment: str) -> None:
        for clip in range(len(self._hidden)):
            self._hidden[clip] = self._run(segment, clip)

    @torch.inference_mode()
    def _run(self, segment: str, clip: int) -> Tensor:
        model, hidden, length = self._model, self._hidden[clip], self._lengths[clip]
        if segment == "projection":
            return model.projection(model.projection_norm(hidden))  # type: ignore[no-any-return]
        if segment == "heads":
            passed = hidden if model.adapter is None else model.adapter(hidden, length)
            return model.heads(passed)  # type: ignore[no-any-return]
        frames = hidden.shape[1]
        index = None if model.distances is None else relative_index(frames, *model.distances, hidden.device)
        layer = model.get_submodule(segment)
        return layer(hidden, key_mask(length, frames, hidden.dtype), index)  # type: ignore[no-any-return]
