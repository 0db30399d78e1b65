"""The interface of front ends, and their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..integers import Integers

Floats = NDArray[np.float32]

Transform = Callable[[Floats, Any], Floats]
"""Computes raw frames on another device. Arguments: samples, and the setting that the front end passes to it."""


class Statistics(Protocol):
    """Statistics of a whole recording, gathered block by block, by which its raw frames are normalized."""

    frames: int
    """Raw frames added so far."""

    def add(self, raw: Floats) -> None:
        """Add a block of raw frames (n, …)."""

    def normalize(self, raw: Floats) -> Floats:
        """Normalize a block by the mean and deviation of everything added so far."""


class FrontEndMethods(Protocol):
    """Turns samples into a model's input. A front end is data, stored in the manifest.

    Samples become *raw frames* (log-mel energies every 10 ms, or the samples themselves), which are normalized by the
    statistics of the whole recording. A padded batch has them stacked: ``raw_per_frame`` of them side by side are one
    *input frame*. A recording's length is its number of raw frames.
    """

    input_names: ClassVar[tuple[str, str]]
    """Names of the model's two inputs: the padded batch, and the lengths in raw frames."""

    @property
    def frames_per_second(self) -> float:
        """Input frames per second of audio."""

    @property
    def raw_per_frame(self) -> int:
        """Raw frames in one input frame."""

    @property
    def padding_value(self) -> float:
        """Value that pads shorter clips of a batch, and an incomplete last input frame."""

    def frames(self, raw: Integers) -> Integers:
        """Input frames of recordings with ``raw`` raw frames."""

    def full_frames(self, raw: Integers) -> Integers:
        """Those of them that are full. A model attends to no others; ``frames`` has one more where it reads it."""

    def shape(self, batch: int, frames: int) -> tuple[int, ...]:
        """Shape of a padded batch."""

    def check_length(self, samples: int) -> None:
        """Raise AudioError if a recording of ``samples`` samples is too short for the model."""

    def raw(self, blocks: Iterator[Floats], transform: Transform | None = None) -> Iterator[Floats]:
        """Raw frames of a stream of sample blocks. How the samples are cut into blocks does not change the frames."""

    def statistics(self) -> Statistics:
        """Empty statistics."""

    def normalize(self, raw: Floats) -> Floats:
        """Normalize the raw frames of a whole recording as the model's own extractor does."""
