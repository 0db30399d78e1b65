"""Frames of logits for a number of raw frames: the formulas that both halves use."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Annotated

import msgspec

from ..audio.frontends import FrontEnd
from ..audio.integers import Integers, smaller


class Stride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A convolution over time. Sizes are in frames of its own input."""

    kernel: Annotated[int, msgspec.Meta(ge=1)]
    stride: Annotated[int, msgspec.Meta(ge=1)]
    padding: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Frames of zeros on each side."""
    length_padding: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The padding by which the stock model counts valid output frames, where that is not ``padding``."""

    def frames(self, frames: Integers) -> Integers:
        """Output frames of ``frames`` input frames."""
        return _convolved(frames, self, self.padding)

    def valid_frames(self, valid: Integers) -> Integers:
        """Output frames that the stock model counts as valid, of ``valid`` valid input frames.

        They may be more than ``frames``, where ``length_padding`` is larger than ``padding``.
        """
        return _convolved(valid, self, self.padding if self.length_padding is None else self.length_padding)


def _convolved(frames: Integers, one: Stride, padding: int) -> Integers:
    return (frames + (2 * padding - one.kernel)) // one.stride + 1


def output_lengths(lengths: Integers, front_end: FrontEnd, strides: Iterable[Stride]) -> Integers:
    """Valid frames of logits of recordings with ``lengths`` raw frames, after the front end and all ``strides``."""
    frames, valid = front_end.frames(lengths), front_end.full_frames(lengths)
    for one in strides:
        frames, valid = one.frames(frames), one.valid_frames(valid)
    return smaller(frames, valid)


def output_index(frame: int, strides: Iterable[Stride]) -> int:
    """Index of the frame of logits that is nearest to the input frame with index ``frame``."""
    return round(frame / prod(one.stride for one in strides))


def output_rate(frames_per_second: float, strides: Iterable[Stride]) -> float:
    """Frames of logits per second, for ``frames_per_second`` input frames per second."""
    return frames_per_second / prod(one.stride for one in strides)
