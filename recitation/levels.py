"""The levels of the recitation model."""

from __future__ import annotations

PHONEMES = "phonemes"
"""The level of the transcript. Each of its groups has one token in every sifat level."""

SIFAT = (
    "hams_or_jahr",
    "shidda_or_rakhawa",
    "tafkheem_or_taqeeq",
    "itbaq",
    "safeer",
    "qalqla",
    "tikraar",
    "tafashie",
    "istitala",
    "ghonna",
)
"""Levels that describe how a phoneme group is pronounced, in the order of the model's heads."""

LEVELS = (PHONEMES, *SIFAT)
"""All levels. transformers sorts the keys of the JSON that it writes, so checkpoints lose this order."""


def rank(level: str) -> tuple[int, str]:
    """Sorts these levels in their order, and others by name behind them."""
    return (LEVELS.index(level) if level in LEVELS else len(LEVELS), level)
