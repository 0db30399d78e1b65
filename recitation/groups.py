"""Phoneme groups of the recitation model, and the sifat of each group.

A group is a run of one letter followed by at most one sign (vowel, qalqala, …). quran-transcript cuts phonetic script
in this way (``chunck_phonemes``, with the letters and signs of its ``alphabet``). Each sifat level has one token for
each group.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .levels import PHONEMES

CORE = "ءبتثجحخدذرزسشصضطظعغفقكلمنهوياۥۦ۾ںـٲ"
RESIDUALS = "َُِڇؙ۪ۜ"

_GROUP = re.compile("(?:" + "|".join(f"{letter}+" for letter in CORE) + f")[{RESIDUALS}]?")

# Seconds between a group and a token from which they are unrelated.
_REACH = 0.3

_Chain = tuple[int, int, Any]
"""Group, token, and the chain that they continue, or None."""


class Timed(Protocol):
    """A decoded token. Times are in seconds."""

    @property
    def text(self) -> str:
        """Its text."""

    @property
    def start(self) -> float:
        """Its start."""

    @property
    def end(self) -> float:
        """Its end."""


@dataclass(frozen=True)
class SifatGroup:
    """A phoneme group. Times are in seconds."""

    text: str
    start: float
    end: float
    sifat: dict[str, int | None]
    """By level: the index of the group's token among the level's tokens, None if it has none."""


def assign_sifat(levels: Mapping[str, Sequence[Timed]]) -> list[SifatGroup]:
    """The phoneme groups of a transcript, given the tokens of every level; empty unless it has phonemes and sifat."""
    if PHONEMES not in levels or len(levels) == 1:
        return []
    phonemes = levels[PHONEMES]
    groups = [phonemes[first:stop] for first, stop in _token_spans([token.text for token in phonemes])]
    starts, stops = np.array([group[0].start for group in groups]), np.array([group[-1].end for group in groups])
    chosen = {
        level: align(np.array([(token.start + token.end) / 2 for token in tokens]), starts, stops).tolist()
        for level, tokens in levels.items()
        if level != PHONEMES
    }
    return [
        SifatGroup(
            "".join(token.text for token in group),
            group[0].start,
            group[-1].end,
            {level: indices[number] if indices[number] >= 0 else None for level, indices in chosen.items()},
        )
        for number, group in enumerate(groups)
    ]


def unit_starts(level: str, tokens: Sequence[str]) -> list[int]:
    """Indices of the tokens that begin a unit of text: a phoneme group for phonemes, otherwise every token."""
    if level != PHONEMES or not tokens:
        return list(range(len(tokens)))
    return sorted({0, *(first for first, _ in _token_spans(tokens))})


def spans(text: str) -> list[tuple[int, int]]:
    """First character, and character after the last, of every group of a phonetic script."""
    return [match.span() for match in _GROUP.finditer(text)]


def _token_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """First token, and token after the last, of every phoneme group."""
    # Characters and tokens differ in vocabularies that have tokens of several characters.
    owner = [index for index, token in enumerate(tokens) for _ in token]
    return [(owner[first], owner[stop - 1] + 1) for first, stop in spans("".join(tokens))]


def align(centers: NDArray[np.float64], starts: NDArray[np.float64], stops: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the token of a sifat level for every group, −1 for none.

    ``centers`` (tokens,) are times of the tokens, ``starts`` and ``stops`` (groups,) of the groups, in seconds and
    ascending. Equally many tokens and groups are matched one by one, as in quran-muaalem. Otherwise quran-muaalem uses
    the verse that was to be recited; without a verse, ``align_by_time`` uses times.
    """
    if len(centers) == len(starts):
        return np.arange(len(starts))
    return align_by_time(centers, starts, stops)


def align_by_time(
    centers: NDArray[np.float64], starts: NDArray[np.float64], stops: NDArray[np.float64]
) -> NDArray[np.int64]:
    """As ``align``, by times alone: the heaviest chain of pairs (group, token) that ascends in both.

    A pair weighs 1 if the token lies in the group, and less with growing distance, down to 0 at ``_REACH``. The chain
    is built group by group: ``ends``, ``weights`` and ``chains`` have, in the order of their last token, all chains
    for which no other chain ends earlier and weighs as much.
    """
    chosen = np.full(len(starts), -1, dtype=np.int64)
    ends: list[int] = []
    weights: list[float] = []
    chains: list[_Chain] = []
    lows = np.searchsorted(centers, starts - _REACH, side="right").tolist()
    highs = np.searchsorted(centers, stops + _REACH, side="left").tolist()
    for group, (low, high) in enumerate(zip(lows, highs, strict=True)):
        start, stop, fresh = float(starts[group]), float(stops[group]), []
        for token in range(low, high):
            center = float(centers[token])
            distance = max(start - center, center - stop, 0.0)
            position = bisect_left(ends, token)
            before, chain = (weights[position - 1], chains[position - 1]) if position else (0.0, None)
            fresh.append((token, before + 1.0 - distance / _REACH, (group, token, chain)))
        for token, weight, link in fresh:
            position = bisect_left(ends, token)
            if position and weights[position - 1] >= weight:
                continue
            stop = position
            while stop < len(ends) and weights[stop] <= weight:
                stop += 1
            if stop == position and position < len(ends) and ends[position] == token:
                continue
            ends[position:stop], weights[position:stop], chains[position:stop] = [token], [weight], [link]
    rest = chains[-1] if chains else None
    while rest is not None:
        group, token, rest = rest
        chosen[group] = token
    return chosen
