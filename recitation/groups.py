"""Phoneme groups of the recitation model, and the sifat that belong to each.

A group is a run of one letter and, behind it, at most one sign (vowel, qalqala, …). This is how quran-transcript
cuts phonetic script (``chunck_phonemes``, letters and signs of its ``alphabet``); each sifat level has one token a
group.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

CORE = "ءبتثجحخدذرزسشصضطظعغفقكلمنهوياۥۦ۾ںـٲ"
RESIDUALS = "َُِڇؙ۪ۜ"

_GROUP = re.compile("(?:" + "|".join(f"{letter}+" for letter in CORE) + f")[{RESIDUALS}]?")


# Seconds between a group and a token beyond which they have nothing to do with each other.
_REACH = 0.3

_Chain = tuple[int, int, Any]
"""Group, token, and the chain that they continue (or None)."""


def spans(text: str) -> list[tuple[int, int]]:
    """First character and character after the last of every group of a phonetic script."""
    return [match.span() for match in _GROUP.finditer(text)]


def align(centers: NDArray[np.float64], starts: NDArray[np.float64], stops: NDArray[np.float64]) -> NDArray[np.int64]:
    """For every group, the token of a sifat level that belongs to it, or −1.

    ``centers`` (tokens,) are the tokens' times, ``starts`` and ``stops`` (groups,) the groups', in seconds and
    ascending. Where there are as many tokens as groups, they belong together one by one, as in quran-muaalem. Where
    not, quran-muaalem goes by the verse that was to be recited; without one, times decide (``align_by_time``).
    """
    if len(centers) == len(starts):
        return np.arange(len(starts))
    return align_by_time(centers, starts, stops)


def align_by_time(
    centers: NDArray[np.float64], starts: NDArray[np.float64], stops: NDArray[np.float64]
) -> NDArray[np.int64]:
    """As ``align``, by times alone: the pairs in order, none used twice, that lie closest together in sum.

    A pair weighs 1 where the token lies within the group, less with the distance, and nothing from ``_REACH`` on. The
    heaviest chain of pairs ascending in both is built group by group: ``ends``, ``weights`` and ``chains`` hold, by
    ascending last token, the chains that no other beats in both that token and weight.
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
            place = bisect_left(ends, token)
            before, chain = (weights[place - 1], chains[place - 1]) if place else (0.0, None)
            fresh.append((token, before + 1.0 - distance / _REACH, (group, token, chain)))
        for token, weight, link in fresh:
            place = bisect_left(ends, token)
            if place and weights[place - 1] >= weight:
                continue
            beaten = place
            while beaten < len(ends) and weights[beaten] <= weight:
                beaten += 1
            if beaten == place and place < len(ends) and ends[place] == token:
                continue
            ends[place:beaten], weights[place:beaten], chains[place:beaten] = [token], [weight], [link]
    rest = chains[-1] if chains else None
    while rest is not None:
        group, token, rest = rest
        chosen[group] = token
    return chosen
