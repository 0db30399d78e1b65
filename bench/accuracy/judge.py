"""What makes a row a failure although its process ended well: transcripts that are not those it should give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rapidfuzz.distance import Levenshtein

# Edits over length. Batches and other clips move an INT8 transcript by far less; a model that does other work when the
# clock runs, by more.
_LIMIT = 0.5
# Of a model with random weights every transcript is garbage, and a rounding step changes much of it.
_RANDOM_LIMIT = 0.9


def faithful(
    scenario: str, heard: Mapping[Path, Sequence[str]], expected: Mapping[Path, Sequence[str]], *, accurate: bool
) -> str | None:
    """Why what was heard while the clock ran cannot be trusted, or None.

    ``heard`` and ``expected`` map clips to tokens of the first level; clips without an expectation only have to say
    something. ``accurate`` says whether the baseline's transcripts mean anything.
    """
    if not any(heard.values()) and (not expected or any(expected.values())):
        return f"{scenario}: every transcript is empty"
    known = [clip for clip in heard if clip in expected]
    length = sum(len(expected[clip]) for clip in known)
    edits = sum(Levenshtein.distance(heard[clip], expected[clip]) for clip in known)
    if edits > (_LIMIT if accurate else _RANDOM_LIMIT) * max(length, 1):
        return f"{scenario}: its transcripts differ by {100 * edits / max(length, 1):.0f} % from those it should give"
    return None
