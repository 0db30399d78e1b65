"""A check of the transcripts of timed measurements: a fast artifact with wrong transcripts is a failed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rapidfuzz.distance import Levenshtein

# Largest accepted edit distance over length. Batches and other clips change far less of an INT8 transcript.
_LIMIT = 0.5
# With random weights every transcript is garbage, and a rounding step changes much of it.
_RANDOM_LIMIT = 0.9


def transcripts_failure(
    scenario: str,
    transcripts: Mapping[Path, Sequence[str]],
    expected: Mapping[Path, Sequence[str]],
    *,
    accurate: bool,
) -> str | None:
    """Why the transcripts of a timed scenario cannot be trusted, or None.

    ``transcripts`` and ``expected`` map clips to tokens of the first level; a clip that is not in ``expected`` only
    needs a transcript that is not empty. ``accurate`` is False if the baseline's own transcripts are garbage.
    """
    if not any(transcripts.values()) and (not expected or any(expected.values())):
        return f"{scenario}: every transcript is empty"
    known = [clip for clip in transcripts if clip in expected]
    length = max(sum(len(expected[clip]) for clip in known), 1)
    edits = sum(Levenshtein.distance(transcripts[clip], expected[clip]) for clip in known)
    if edits > (_LIMIT if accurate else _RANDOM_LIMIT) * length:
        return f"{scenario}: the timed transcripts differ by {100 * edits / length:.0f} % from the expected ones"
    return None
