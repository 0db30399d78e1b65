"""Phoneme groups of the recitation model, and the sifat that belong to each.

A group is a run of one letter and, behind it, at most one sign (vowel, qalqala, …). This is how quran-transcript
cuts phonetic script (``chunck_phonemes``, letters and signs of its ``alphabet``); each sifat level has one token a
group.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

CORE = "ءبتثجحخدذرزسشصضطظعغفقكلمنهوياۥۦ۾ںـٲ"
RESIDUALS = "َُِڇؙ۪ۜ"

_GROUP = re.compile("(?:" + "|".join(f"{letter}+" for letter in CORE) + f")[{RESIDUALS}]?")


def spans(text: str) -> list[tuple[int, int]]:
    """First character and character after the last of every group of a phonetic script."""
    return [match.span() for match in _GROUP.finditer(text)]


def align(centers: NDArray[np.float64], starts: NDArray[np.float64], stops: NDArray[np.float64]) -> NDArray[np.int64]:
    """For every group, the token of a sifat level that belongs to it, or −1.

    ``centers`` (tokens,) are the tokens' times, ``starts`` and ``stops`` (groups,) the groups', all ascending. Where
    there are as many tokens as groups, they belong together one by one, as in quran-muaalem. Where not, quran-muaalem goes
    by the verse to be recited; without one, each token goes to the group nearest in time, and of
    several tokens the nearest stays.
    """
    if len(centers) == len(starts):
        return np.arange(len(starts))
    chosen = np.full(len(starts), -1, dtype=np.int64)
    if len(centers) == 0 or len(starts) == 0:
        return chosen
    middles = (starts + stops) / 2
    right = np.clip(np.searchsorted(middles, centers), 0, len(middles) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(centers - middles[left]) <= np.abs(centers - middles[right]), left, right)
    distance = np.abs(centers - middles[nearest])
    # Assigned from the farthest to the nearest, so that the nearest is what remains.
    for token in np.argsort(-distance, kind="stable"):
        chosen[nearest[token]] = token
    return chosen
