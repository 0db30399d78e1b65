"""What every front end gives, and what front ends share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

Transform = Callable[[Floats, Any], Floats]
"""Computes a front end's raw frames of samples on another device: (samples, front end) to raw frames."""


class Statistics(Protocol):
    """What normalization needs to know of a whole recording, gathered block by block."""

    frames: int
    """Raw frames so far."""

    def add(self, raw: Floats) -> None:
        """Take in a block of raw frames (n, …)."""

    def normalize(self, raw: Floats) -> Floats:
        """The block with the mean and deviation of everything added so far."""


class FrontEndMethods(Protocol):
    """Samples to a model's input. A front end is data: the manifest carries it.

    Samples become *raw frames* (log-mel energies each 10 ms, or the samples themselves), which are normalized by the
    statistics of the whole recording and then stacked: ``stack`` raw frames side by side are one input frame.
    """

    input_names: ClassVar[tuple[str, str]]
    """Of the model's two inputs: the padded batch, and the lengths in input frames."""

    @property
    def frames_per_second(self) -> float:
        """Input frames per second of audio."""

    @property
    def raw_per_frame(self) -> int:
        """Raw frames in one input frame."""

    @property
    def padding_value(self) -> float:
        """What fills a batch behind a shorter clip."""

    def shape(self, batch: int, frames: int) -> tuple[int, ...]:
        """Of the padded batch."""

    def check_length(self, samples: int) -> None:
        """Raise AudioError where a recording of so many samples is too short for one input frame."""

    def raw(self, blocks: Iterator[Floats], transform: Transform | None = None) -> Iterator[Floats]:
        """Raw frames of a stream of sample blocks, the same however the samples are cut into blocks."""

    def statistics(self) -> Statistics:
        """Empty statistics."""

    def normalize(self, raw: Floats) -> Floats:
        """Raw frames of a whole recording, normalized as the model's own extractor does."""

    def stack(self, raw: Floats) -> Floats:
        """Normalized raw frames as input frames (frames, …); what does not fill a frame is left out."""
