"""Transcripts compared with the labels and with the baseline's transcripts."""

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
"""A transcript: tokens by level."""

Vocabularies = Mapping[str, LevelVocabulary]

_WORST = 10
# Above this error rate transcripts are garbage. If the baseline's are garbage too (random weights), the limit applies
# to the differences from the baseline instead, which a rounding step multiplies.
_GARBAGE, _RANDOM = 0.5, 0.9


def measure_accuracy(transcripts: Sequence[Tokens], data: LabelledSet, vocabularies: Vocabularies) -> Accuracy:
    """Edits of every labelled level, and of words and characters if the first level writes words.

    Labels called ``text`` belong to the first level if no recording labels it by name. Raises DataError if no level is
    labelled, a level is labelled for some recordings only, or a label has a symbol that its vocabulary lacks.
    """
    levels: dict[str, LevelErrors] = {}
    for level in vocabularies:
        expected = references(data, level, vocabularies)
        if expected is not None:
            levels[level] = _errors([tokens[level] for tokens in transcripts], expected)
    if not levels:
        labelled = sorted({level for recording in data.recordings for level in recording.labels})
        raise DataError(
            f"{data.name}: no recording is labelled in any of the artifact's levels "
            f"({', '.join(vocabularies)}); the labels are of {', '.join(labelled)}"
        )
    accuracy = Accuracy(levels=levels)
    first = next(iter(vocabularies))
    if vocabularies[first].word_delimiter is None or first not in levels:
        return accuracy
    space = vocabularies[first].space
    hypotheses = [_words(tokens[first], space) for tokens in transcripts]
    labels = [_words(tokens, space) for tokens in references(data, first, vocabularies) or []]
    return msgspec.structs.replace(
        accuracy,
        words=_errors(hypotheses, labels),
        characters=_errors(
            [list(" ".join(words)) for words in hypotheses], [list(" ".join(words)) for words in labels]
        ),
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
    """Add the differences from the baseline, the agreement with it, and the recordings that lost most."""
    first = next(iter(accuracy.levels))
    own_tokens, base_tokens = ([tokens[first] for tokens in each] for each in (transcripts, baseline_transcripts))
    different = edits(own_tokens, base_tokens)
    own, other = list(accuracy.levels.values()), list(baseline.levels.values())
    return msgspec.structs.replace(
        accuracy,
        first_delta=bootstrap_delta(own[:1], other[:1], seed),
        mean_delta=bootstrap_delta(own, other, seed),
        word_delta=_delta(accuracy.words, baseline.words, seed),
        character_delta=_delta(accuracy.characters, baseline.characters, seed),
        disagreement=sum(different) / max(sum(map(len, base_tokens)), 1),
        unchanged=different.count(0) / len(different),
        worst=_worst(accuracy, transcripts, baseline, baseline_transcripts, data, vocabularies),
    )


def compare_logits(
    logits: Sequence[Mapping[str, NDArray[Any]]], expected: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[float, float]:
    """Fraction of frames and levels with the same best token, and the relative error of all logits (T, V)."""
    same = frames = 0
    difference = size = 0.0
    for own, other in zip(logits, expected, strict=True):
        for level, values in own.items():
            same += int((values.argmax(-1) == other[level].argmax(-1)).sum())
            frames += len(values)
            difference += float(np.square(values.astype(np.float64) - other[level]).sum())
            size += float(np.square(other[level].astype(np.float64)).sum())
    return same / frames, (difference / size) ** 0.5


def garbage(
    accuracy: Accuracy,
    transcripts: Sequence[Tokens],
    baseline: Accuracy | None,
    disagreement: float | None,
    limit: float = _GARBAGE,
) -> str | None:
    """Why the transcripts are unusable, or None. ``baseline`` is None for the baseline itself."""
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
        return f"garbage: {100 * disagreement:.0f} % of its {first} differ from the baseline's"
    return None


def references(data: LabelledSet, level: str, vocabularies: Vocabularies) -> list[list[str]] | None:
    """The label of ``level`` as tokens for each recording; None if there are none. Raises DataError."""
    texts = data.labels(level, list(vocabularies))
    if texts is None:
        return None
    names = [recording.name for recording in data.recordings]
    return [_tokens(name, text, level, vocabularies[level]) for name, text in zip(names, texts, strict=True)]


def _tokens(name: str, text: str, level: str, vocabulary: LevelVocabulary) -> list[str]:
    """A label as tokens. Raises DataError for a symbol that the vocabulary lacks."""
    tokens, unknown = tokenize(text, vocabulary)
    if unknown:
        raise DataError(
            f"{name}: the label of {level} has {', '.join(map(repr, dict.fromkeys(unknown)))}, "
            "which the checkpoint's vocabulary lacks"
        )
    return tokens


def _words(tokens: Sequence[str], space: str) -> list[str]:
    return "".join(" " if token == space else token for token in tokens).split()


def _errors(hypotheses: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]) -> LevelErrors:
    return LevelErrors(edits=edits(hypotheses, labels), lengths=[len(label) for label in labels])


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
    """Recordings with errors in the first level: largest loss against the baseline first, then most errors."""
    first = next(iter(accuracy.levels))
    labels = references(data, first, vocabularies) or []
    counts, others = accuracy.first.edits, baseline.first.edits
    order = sorted(range(len(counts)), key=lambda index: (others[index] - counts[index], -counts[index], index))
    worst = []
    for index in [index for index in order if counts[index]][:_WORST]:
        reference, other, own = align_three(
            labels[index], baseline_transcripts[index][first], transcripts[index][first]
        )
        worst.append(
            Worst(
                recording=data.recordings[index].name,
                level=first,
                edits=counts[index],
                baseline_edits=others[index],
                reference=reference,
                baseline=other,
                candidate=own,
            )
        )
    return worst
