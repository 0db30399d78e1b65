"""Whole numbers of any kind: an int, or an array or tensor of integers."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar


class _Integers(Protocol):
    def __add__(self, other: Self | int, /) -> Self: ...
    def __sub__(self, other: Self | int, /) -> Self: ...
    def __floordiv__(self, other: int, /) -> Self: ...
    def __abs__(self) -> Self: ...


Integers = TypeVar("Integers", bound=_Integers)


def smaller(one: Integers, other: Integers) -> Integers:
    """The minimum, element by element."""
    difference = (one - other).__abs__()
    return (one + other - difference) // 2
