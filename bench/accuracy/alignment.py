"""Edit distances and alignments of token sequences, by jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import jiwer

Sequences = Sequence[Sequence[str]]

GAP = ""
"""Stands where a sequence has no token."""

# Tokens such as "[بين الشدة والرخاوة]" hold blanks, so jiwer is told to split at a sign that no vocabulary has.
_SEPARATOR = "\x1f"
_SPLIT = jiwer.ReduceToListOfListOfWords(_SEPARATOR)


def edits(found: Sequences, expected: Sequences) -> list[int]:
    """Substitutions, insertions and deletions of every sequence."""
    return [
        sum(
            max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            for chunk in chunks
            if chunk.type != "equal"
        )
        for chunks in _aligned(found, expected)
    ]


def align_three(
    reference: Sequence[str], baseline: Sequence[str], candidate: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """The three, of one length, each token beside the reference token that it stands for, gaps where there is none."""
    columns = zip(_columns(baseline, reference), _columns(candidate, reference), strict=True)
    rows: list[tuple[str, str, str]] = []
    for place, ((before, own), (other_before, other)) in enumerate(columns):
        rows += [(GAP, one, two) for one, two in zip_longest(before, other_before, fillvalue=GAP)]
        if place < len(reference):
            rows.append((reference[place], own, other))
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _columns(found: Sequence[str], reference: Sequence[str]) -> list[tuple[list[str], str]]:
    """For every reference token, and for the end: what was inserted before it, and what stands for it."""
    inserted: list[list[str]] = [[] for _ in range(len(reference) + 1)]
    own = [GAP] * (len(reference) + 1)
    (chunks,) = _aligned([found], [reference])
    for chunk in chunks:
        tokens = found[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "insert":
            inserted[chunk.ref_start_idx] += tokens
        elif chunk.type != "delete":
            own[chunk.ref_start_idx : chunk.ref_end_idx] = tokens
    return list(zip(inserted, own, strict=True))


def _aligned(found: Sequences, expected: Sequences) -> list[list[jiwer.AlignmentChunk]]:
    if not expected:
        return []
    output = jiwer.process_words(
        [_SEPARATOR.join(tokens) for tokens in expected],
        [_SEPARATOR.join(tokens) for tokens in found],
        reference_transform=_SPLIT,
        hypothesis_transform=_SPLIT,
    )
    return output.alignments  # type: ignore[no-any-return]
