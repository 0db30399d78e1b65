"""A deployable CTC model of any family, which methods quantize, training trains and exporters trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..artifacts import Stride, output_lengths
from ..audio import FrontEnd
from .architecture import Fold, FoldedLayers

# Of inputs for tracing.
_EXAMPLE_SECONDS = 1.28

State = Any
"""State between two blocks, usually a NamedTuple with ``hidden`` (B, T, H)."""


class CTCModel(nn.Module):
    """A family implements ``begin``, ``blocks`` and ``finish``; ``forward`` is written here, once.

    ``forward(inputs, lengths)``: ``inputs`` (B, T, …) float32 from the front end, padding on the right; ``lengths``
    (B,) int64 in the front end's raw frames. Returns one (B, T', V) float32 tensor of logits per level, in the order of
    ``levels``. Frames beyond a clip's length are meaningless.
    """

    folds: ClassVar[tuple[Fold, ...]] = ()
    float_layers: ClassVar[tuple[str, ...]] = ()
    """Globs of the layers that stay in float unless a user says otherwise: usually the first and the last."""
    attention_layers: ClassVar[tuple[str, ...]] = ()
    """Globs of the Linears of self-attention."""
    feed_forward_layers: ClassVar[tuple[str, ...]] = ()
    """Globs of the Linears of feed-forward modules."""
    convolution_layers: ClassVar[tuple[str, ...]] = ()
    """Globs of the Linears that are convolutions in the stock module."""

    def __init__(self, levels: Mapping[str, int], front_end: FrontEnd, strides: Sequence[Stride] = ()) -> None:
        super().__init__()
        self.levels = dict(levels)
        self.front_end = front_end
        self.strides = tuple(strides)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Each takes a state and returns the next: encoder layers, then adapter layers."""
        raise NotImplementedError

    def begin(self, inputs: Tensor, lengths: Tensor) -> State:
        """Everything before the first block."""
        raise NotImplementedError

    def finish(self, state: State) -> dict[str, Tensor]:
        """The heads: logits (B, T', V) float32 by level."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Logits of every level; see the class."""
        state = self.begin(inputs, lengths)
        for block in self.blocks:
            state = block(state)
        return tuple(self.finish(state).values())

    def find_folds(self) -> Iterator[FoldedLayers]:
        """Every occurrence of ``folds`` in this model."""
        names = {name for name, _ in self.named_modules()}
        for fold in self.folds:
            for parent in sorted(name for name in names if fnmatchcase(name, fold.inside)):
                source, *linears = (f"{parent}.{name}".removeprefix(".") for name in (fold.source, *fold.linears))
                if names.issuperset((source, *linears)):
                    yield FoldedLayers(source, tuple(linears), fold.part)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Valid frames of logits (B,) of clips with ``lengths`` (B,) raw frames."""
        return output_lengths(lengths, self.front_end, self.strides)

    @property
    def fewest_frames(self) -> int:
        """Input frames of the shortest clip that gives a frame of logits."""
        frames = 1
        for one in reversed(self.strides):
            frames = max(1, (frames - 1) * one.stride + one.kernel - 2 * one.padding)
        return frames

    @property
    def frames_per_second(self) -> float:
        """Frames of logits per second of audio."""
        rate = self.front_end.frames_per_second
        for one in self.strides:
            rate /= one.stride
        return rate

    @property
    def fewest_dynamic_frames(self) -> int:
        """Fewest input frames of a graph whose length is dynamic: 2 frames of logits, since torch specializes on 1."""
        frames = 2
        for one in reversed(self.strides):
            frames = max(2, (frames - 1) * one.stride + one.kernel - 2 * one.padding)
        return frames

    @property
    def example_frames(self) -> int:
        """Input frames of 1.28 s, long enough for any model: 64 at 50 frames per second."""
        return round(_EXAMPLE_SECONDS * self.front_end.frames_per_second)

    def example_inputs(self, batch: int, frames: int) -> tuple[Tensor, Tensor]:
        """Inputs and lengths for tracing: zeros, every second clip about half as long as the others."""
        lengths = torch.tensor([frames if clip % 2 == 0 else frames // 2 + 1 for clip in range(batch)])
        return torch.zeros(self.front_end.shape(batch, frames)), lengths * self.front_end.raw_per_frame
