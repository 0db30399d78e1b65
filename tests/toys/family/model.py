"""The deployable model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ...artifacts import Stride
from ...audio import FrontEnd
from ..architecture import Fold
from ..ctc import CTCModel

HOP = 320
"""Samples from one frame to the next: 50 frames per second."""


class State(NamedTuple):
    """``hidden`` (B, T, H)."""

    hidden: Tensor


class Block(nn.Module):
    """LayerNorm, Linear, ReLU, Linear, and the residual."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.up = nn.Linear(size, 2 * size)
        self.down = nn.Linear(2 * size, size)

    def forward(self, state: State) -> State:
        """The next state."""
        return State(state.hidden + self.down(self.up(self.norm(state.hidden)).relu()))


class ToyStock(nn.Module):
    """What the checkpoint's weights are for."""

    def __init__(self, size: int, vocabulary: int) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, size, HOP, HOP)
        self.layers = nn.ModuleList(Block(size) for _ in range(2))
        self.head = nn.Linear(size, vocabulary)


class ToyCTC(CTCModel):
    """The same layers; nothing has to be rewritten."""

    folds = (Fold("layers.*", "norm", ("up",)),)
    float_layers = ("head",)
    feed_forward_layers = ("layers.*",)

    def __init__(self, stock: ToyStock, levels: Mapping[str, int], front_end: FrontEnd) -> None:
        super().__init__(levels, front_end, (Stride(kernel=HOP, stride=HOP),))
        self.encoder, self.layers, self.head = stock.encoder, stock.layers, stock.head

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Both layers."""
        return list(self.layers)

    def begin(self, inputs: Tensor, lengths: Tensor) -> State:
        """Magnitudes of the convolution."""
        return State(self.encoder(inputs[:, None]).abs().transpose(1, 2))

    def finish(self, state: State) -> dict[str, Tensor]:
        """The only head."""
        return {next(iter(self.levels)): self.head(state.hidden)}
