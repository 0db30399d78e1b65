"""Frames of logits for a number of input frames: the formula that both halves use."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Annotated, Protocol, Self, TypeVar

import msgspec


class Stride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A convolution over time. Sizes are in frames of its own input."""

    kernel: Annotated[int, msgspec.Meta(ge=1)]
    stride: Annotated[int, msgspec.Meta(ge=1)]
    padding: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Frames of zeros on each side."""


class _Integers(Protocol):
    """An int, or an array or tensor of integers."""

    def __add__(self, other: int, /) -> Self: ...
    def __sub__(self, other: int, /) -> Self: ...
    def __floordiv__(self, other: int, /) -> Self: ...


Integers = TypeVar("Integers", bound=_Integers)


def output_lengths(lengths: Integers, strides: Iterable[Stride]) -> Integers:
    """Frames of logits after all ``strides`` for recordings of ``lengths`` input frames."""
    for one in strides:
        lengths = (lengths + (2 * one.padding - one.kernel)) // one.stride + 1
    return lengths


def output_index(frame: int, strides: Iterable[Stride]) -> int:
    """Index of the frame of logits that is nearest to the input frame with index ``frame``."""
    return round(frame / prod(one.stride for one in strides))


def output_rate(frames_per_second: float, strides: Iterable[Stride]) -> float:
    """Frames of logits per second, for ``frames_per_second`` input frames per second."""
    return frames_per_second / prod(one.stride for one in strides)
