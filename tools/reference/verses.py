"""Short stretches of Quran verses, split so that no verse is in two sets."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import cache
from typing import Literal

from qasr.recitation.labels import Labels, phonetize

Split = Literal["train", "evaluation", "calibration"]

_FEWEST_WORDS, _MOST_WORDS = 2, 6
_MOST_PHONEMES = 60


@dataclass(frozen=True)
class Stretch:
    """A few words of a verse and their labels."""

    verse: str
    """``sura:aya``."""
    uthmani: str
    labels: Labels


def split_of(verse: str) -> Split:
    """The split of a verse, determined by its number alone: 4 % evaluation, 3 % calibration."""
    bucket = int.from_bytes(hashlib.sha256(verse.encode()).digest()[:4], "big") % 100
    if bucket < 4:
        return "evaluation"
    return "calibration" if bucket < 7 else "train"


@cache
def _verses() -> tuple[tuple[str, str], ...]:
    from quran_transcript import Aya

    verses = []
    for aya in Aya(1, 1).get_ayat_after():
        text = aya.get()
        verses.append((f"{text.sura_idx}:{text.aya_idx}", text.uthmani))
    return tuple(verses)


def stretches(split: Split, count: int, seed: int) -> list[Stretch]:
    """``count`` random stretches from the verses of a split, without duplicates; reproducible by seed."""
    rng = random.Random(f"{split} {seed}")
    pool = [(verse, text.split()) for verse, text in _verses() if split_of(verse) == split]
    chosen: dict[str, Stretch] = {}
    for _ in range(100 * count):
        verse, words = rng.choice(pool)
        length = min(rng.randint(_FEWEST_WORDS, _MOST_WORDS), len(words))
        start = rng.randint(0, len(words) - length)
        uthmani = " ".join(words[start : start + length])
        labels = phonetize(uthmani)
        if labels is None or not 6 <= len(labels.phonemes) <= _MOST_PHONEMES or labels.phonemes in chosen:
            continue
        chosen[labels.phonemes] = Stretch(verse, uthmani, labels)
        if len(chosen) == count:
            return list(chosen.values())
    raise RuntimeError(f"only {len(chosen)} of {count} stretches found for {split}")
