"""Transcripts against labels, and against the baseline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...artifacts import LevelVocabulary, tokenize
from ...data import DataError, LabelledSet
from ..results import Accuracy, LevelErrors, Worst
from .alignment import align_three, edits
from .statistics import bootstrap_delta

Tokens = dict[str, list[str]]
"""A transcript: level to tokens."""

Vocabularies = Mapping[str, LevelVocabulary]

_WORST = 10
# Shares above which transcripts are garbage: of errors against labels; and, where the baseline's are that too (random
# weights), of differences from the baseline, which a rounding step multiplies.
_GARBAGE, _RANDOM = 0.5, 0.9


def measure_accuracy(transcripts: Sequence[Tokens], data: LabelledSet, vocabularies: Vocabularies) -> Accuracy:
    """Edits of every level that is labelled, and of words and characters where the first level writes words.

    Labels called ``text`` serve the first level where no recording labels it by name. Raises DataError where no level
    is labelled, or one for some recordings only, or a label has a symbol that its vocabulary lacks.
    """
    found: dict[str, LevelErrors] = {}
    for level in vocabularies:
        expected = references(data, level, vocabularies)
        if expected is not None:
            found[level] = _errors([tokens[level] for tokens in transcripts], expected)
    if not found:
        labelled = sorted({level for recording in data.recordings for level in recording.labels})
        raise DataError(
            f"{data.name}: no recording is labelled in any of the artifact's levels "
            f"({', '.join(vocabularies)}); there are labels of {', '.join(labelled)}"
        )
    accuracy = Accuracy(levels=found)
    first = next(iter(vocabularies))
    if vocabularies[first].word_delimiter is None or first not in found:
        return accuracy
    said = ["".join(tokens[first]) for tokens in transcripts]
    meant = ["".join(tokens) for tokens in references(data, first, vocabularies) or []]
    return msgspec.structs.replace(
        accuracy,
        words=_errors([text.split() for text in said], [text.split() for text in meant]),
        characters=_errors([list(" ".join(text.split())) for text in said], [list(text) for text in meant]),
    )


def compare_accuracy(
    accuracy: Accuracy,
    transcripts: Sequence[Tokens],
    baseline: Accuracy,
    baseline_transcripts: Sequence[Tokens],
    data: LabelledSet,
    vocabularies: Vocabularies,
    *,
    seed: int,
) -> Accuracy:
    """The same with deltas, disagreement, and the recordings that lose most against the baseline."""
    first = next(iter(accuracy.levels))
    said, meant = ([tokens[first] for tokens in heard] for heard in (transcripts, baseline_transcripts))
    own, other = list(accuracy.levels.values()), list(baseline.levels.values())
    return msgspec.structs.replace(
        accuracy,
        first_delta=bootstrap_delta(own[:1], other[:1], seed),
        mean_delta=bootstrap_delta(own, other, seed),
        word_delta=_delta(accuracy.words, baseline.words, seed),
        character_delta=_delta(accuracy.characters, baseline.characters, seed),
        disagreement=sum(edits(said, meant)) / max(sum(map(len, meant)), 1),
        worst=_worst(accuracy, transcripts, baseline, baseline_transcripts, data, vocabularies),
    )


def compare_logits(
    found: Sequence[Mapping[str, NDArray[Any]]], expected: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[float, float]:
    """Share of frames and levels whose best token is the same, and the relative error of all logits (T, V)."""
    same = frames = 0
    difference = size = 0.0
    for own, other in zip(found, expected, strict=True):
        for level, logits in own.items():
            same += int((logits.argmax(-1) == other[level].argmax(-1)).sum())
            frames += len(logits)
            difference += float(np.square(logits.astype(np.float64) - other[level]).sum())
            size += float(np.square(other[level].astype(np.float64)).sum())
    return same / frames, (difference / size) ** 0.5


def garbage(
    accuracy: Accuracy,
    transcripts: Sequence[Tokens],
    baseline: Accuracy | None,
    disagreement: float | None,
    limit: float = _GARBAGE,
) -> str | None:
    """Why the transcripts are no transcripts, or None. ``baseline`` is None for the baseline itself."""
    first = next(iter(accuracy.levels))
    if not any(tokens[first] for tokens in transcripts):
        return "every transcript is empty"
    if baseline is None:
        return None
    if baseline.first.rate <= limit < accuracy.first.rate:
        return (
            f"garbage: its {first} error rate is {100 * accuracy.first.rate:.0f} %, "
            f"the baseline's {100 * baseline.first.rate:.1f} %"
        )
    if baseline.first.rate > limit and disagreement is not None and disagreement > _RANDOM:
        return f"garbage: {100 * disagreement:.0f} % of its {first} are not the baseline's"
    return None


def references(data: LabelledSet, level: str, vocabularies: Vocabularies) -> list[list[str]] | None:
    """Every recording's label of ``level`` as tokens; None where there are none. Raises DataError."""
    texts = data.labels(level, list(vocabularies))
    if texts is None:
        return None
    names = [recording.name for recording in data.recordings]
    return [_tokens(name, text, level, vocabularies[level]) for name, text in zip(names, texts, strict=True)]


def _tokens(name: str, text: str, level: str, vocabulary: LevelVocabulary) -> list[str]:
    """A label as tokens; DataError for a symbol that the vocabulary lacks."""
    tokens, unknown = tokenize(text, vocabulary)
    if unknown:
        raise DataError(
            f"{name}: the label of {level} has {', '.join(map(repr, dict.fromkeys(unknown)))}, "
            "which the checkpoint's vocabulary lacks"
        )
    return tokens


def _errors(found: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]) -> LevelErrors:
    return LevelErrors(edits=edits(found, expected), lengths=[len(label) for label in expected])


def _delta(own: LevelErrors | None, other: LevelErrors | None, seed: int) -> Any:
    return None if own is None or other is None else bootstrap_delta([own], [other], seed)


def _worst(
    accuracy: Accuracy,
    transcripts: Sequence[Tokens],
    baseline: Accuracy,
    baseline_transcripts: Sequence[Tokens],
    data: LabelledSet,
    vocabularies: Vocabularies,
) -> list[Worst]:
    """Recordings whose first level has errors: those that lose most against the baseline, then those with most."""
    first = next(iter(accuracy.levels))
    labels = references(data, first, vocabularies) or []
    counts, others = accuracy.first.edits, baseline.first.edits
    order = sorted(range(len(counts)), key=lambda place: (others[place] - counts[place], -counts[place], place))
    found = []
    for place in [place for place in order if counts[place]][:_WORST]:
        reference, other, own = align_three(
            labels[place], baseline_transcripts[place][first], transcripts[place][first]
        )
        found.append(
            Worst(
                recording=data.recordings[place].name,
                level=first,
                edits=counts[place],
                baseline_edits=others[place],
                reference=reference,
                baseline=other,
                candidate=own,
            )
        )
    return found
