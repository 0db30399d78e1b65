"""How many frames of logits a model gives for its input frames: one formula for both halves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self, TypeVar

import msgspec


class Stride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A convolution over time, in frames of its own input."""

    kernel: int
    stride: int
    padding: int = 0
    """Frames of zeros on either side."""


class _Whole(Protocol):
    """Whole numbers: an int, or an array or tensor of them."""

    def __add__(self, other: int, /) -> Self: ...
    def __sub__(self, other: int, /) -> Self: ...
    def __floordiv__(self, other: int, /) -> Self: ...


Whole = TypeVar("Whole", bound=_Whole)


def output_lengths(lengths: Whole, strides: Iterable[Stride]) -> Whole:
    """Frames after all ``strides``, of ``lengths`` input frames."""
    for one in strides:
        lengths = (lengths + (2 * one.padding - one.kernel)) // one.stride + 1
    return lengths
