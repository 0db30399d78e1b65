"""The results of quran-muaalem, with numpy arrays in place of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Unit:
    """The tokens of one level."""

    text: str
    probs: NDArray[np.float32]
    """(tokens,): mean probability of each token over its frames."""
    ids: NDArray[np.int64]
    """(tokens,)."""


@dataclass
class SingleUnit:
    """One token: its English name, its probability, its id. ``[PAD]``, 0 and the blank's id where it is missing."""

    text: str
    prob: float
    idx: int


@dataclass
class Sifa:
    """A phoneme group and its sifat; None for groups behind the last token of a level."""

    phonemes_group: str
    hams_or_jahr: SingleUnit | None
    shidda_or_rakhawa: SingleUnit | None
    tafkheem_or_taqeeq: SingleUnit | None
    itbaq: SingleUnit | None
    safeer: SingleUnit | None
    qalqla: SingleUnit | None
    tikraar: SingleUnit | None
    tafashie: SingleUnit | None
    istitala: SingleUnit | None
    ghonna: SingleUnit | None


@dataclass
class MuaalemOutput:
    """The phonemes of a recording, and the sifat of each phoneme group."""

    phonemes: Unit
    sifat: list[Sifa]


def value_of(sifa: Any, name: str) -> str:
    """A field of quran-transcript's sifat, which are objects or dicts."""
    return str(sifa[name] if isinstance(sifa, Mapping) else getattr(sifa, name))
