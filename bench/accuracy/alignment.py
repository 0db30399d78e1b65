"""Edit distances of token sequences by rapidfuzz, alignments by jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import jiwer
from rapidfuzz.distance import Levenshtein

Sequences = Sequence[Sequence[str]]

GAP = ""
"""Fills the positions of an alignment at which a sequence has no token."""

# Tokens such as "[بين الشدة والرخاوة]" contain spaces, so jiwer splits at a character that no vocabulary has.
_SEPARATOR = "\x1f"
_SPLIT = jiwer.ReduceToListOfListOfWords(_SEPARATOR)


def edits(hypotheses: Sequences, references: Sequences) -> list[int]:
    """Substitutions, insertions and deletions of each pair of sequences."""
    return [
        Levenshtein.distance(hypothesis, reference)
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def align_three(
    reference: Sequence[str], baseline: Sequence[str], candidate: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """The three sequences, padded with gaps to one length, so that aligned tokens have the same position."""
    columns = zip(_columns(baseline, reference), _columns(candidate, reference), strict=True)
    rows: list[tuple[str, str, str]] = []
    for index, ((before, own), (other_before, other)) in enumerate(columns):
        rows += [(GAP, one, two) for one, two in zip_longest(before, other_before, fillvalue=GAP)]
        if index < len(reference):
            rows.append((reference[index], own, other))
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _columns(hypothesis: Sequence[str], reference: Sequence[str]) -> list[tuple[list[str], str]]:
    """For each reference token, and for the end: the tokens inserted before it, and the token aligned with it."""
    inserted: list[list[str]] = [[] for _ in range(len(reference) + 1)]
    own = [GAP] * (len(reference) + 1)
    for chunk in _align(hypothesis, reference):
        tokens = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "insert":
            inserted[chunk.ref_start_idx] += tokens
        elif chunk.type != "delete":
            own[chunk.ref_start_idx : chunk.ref_end_idx] = tokens
    return list(zip(inserted, own, strict=True))


def _align(hypothesis: Sequence[str], reference: Sequence[str]) -> list[jiwer.AlignmentChunk]:
    output = jiwer.process_words(
        [_SEPARATOR.join(reference)],
        [_SEPARATOR.join(hypothesis)],
        reference_transform=_SPLIT,
        hypothesis_transform=_SPLIT,
    )
    return output.alignments[0]  # type: ignore[no-any-return]
