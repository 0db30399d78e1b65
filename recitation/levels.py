"""The order of the recitation model's levels, which no file of a checkpoint keeps."""

from __future__ import annotations

# transformers sorts the keys of the JSON that it writes, in config.json and vocab.json; the first level is the
# transcript.
LEVEL_ORDER = (
    "phonemes",
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


def rank(level: str) -> tuple[int, str]:
    """Sorts the recitation model's levels in their order, and others by name behind them."""
    return (LEVEL_ORDER.index(level) if level in LEVEL_ORDER else len(LEVEL_ORDER), level)
