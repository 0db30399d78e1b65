"""Transcripts: for every level its text and its tokens with times and confidences, and groups and segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from ...artifacts import LevelVocabulary, text_of, token_text
from ...recitation.groups import assign_sifat, unit_starts
from ..errors import UnknownLevelError
from .decoding import Frames, Runs, Vocabularies, collapse

# Seconds. A segment ends at a pause, or after ten seconds.
_PAUSE_SECONDS = 0.4
_LONGEST_SECONDS = 10.0


class Token(msgspec.Struct, frozen=True):
    """A decoded token. Times are in seconds; confidence is the mean probability over its frames."""

    id: int
    text: str
    start: float
    end: float
    confidence: float


class LevelResult(msgspec.Struct, frozen=True):
    """One level's transcript. Confidence is the mean over its tokens, 0 without tokens."""

    text: str
    confidence: float
    tokens: list[Token]


class Group(msgspec.Struct, frozen=True):
    """A phoneme group, and its token in each sifat level, None if it has none."""

    text: str
    start: float
    end: float
    sifat: dict[str, Token | None]


class Segment(msgspec.Struct, frozen=True):
    """A stretch of the first level between pauses, which becomes a subtitle."""

    text: str
    start: float
    end: float
    confidence: float


class _Unit(NamedTuple):
    tokens: list[Token]
    delimiter: list[int]
    """Id of the word delimiter, if there was one between the previous unit and this one."""


class Transcript(msgspec.Struct, frozen=True):
    """The transcription of one recording."""

    audio: str
    text: str
    """The first level's text."""
    seconds: float
    """Duration of the audio."""
    levels: dict[str, LevelResult]
    groups: list[Group]
    segments: list[Segment]
    channel: str | None = None
    """``mix``, or the number of the channel that was transcribed, from 1; None for audio with one channel."""
    notes: list[str] = []
    """What a header stated wrongly, which channel was chosen and why, whether there is no speech."""


def transcribe_frames(
    frames: Frames,
    vocabularies: Vocabularies,
    *,
    audio: str,
    seconds: float,
    frame_rate_hz: float,
    channel: str | None = None,
    notes: Sequence[str] = (),
) -> Transcript:
    """The transcript of a recording's frames. ``seconds`` is its duration, ``audio`` its name."""
    runs = {
        level: _without_specials(collapse(frames.best[row], frames.confidence[row], vocabulary.blank), vocabulary)
        for row, (level, vocabulary) in enumerate(vocabularies.items())
    }
    levels = {level: _level(runs[level], vocabularies[level], frame_rate_hz) for level in vocabularies}
    first = next(iter(vocabularies))
    return Transcript(
        audio=audio,
        text=levels[first].text,
        seconds=round(seconds, 3),
        levels=levels,
        groups=_groups(levels),
        segments=_segments(_units(first, levels[first], vocabularies[first]), vocabularies[first]),
        channel=channel,
        notes=list(notes),
    )


def select(transcript: Transcript, levels: list[str]) -> Transcript:
    """The transcript with only some of its levels. Groups keep these levels, and are dropped if none is left.

    Raises UnknownLevelError.
    """
    check_levels(levels, list(transcript.levels))
    kept = {level: transcript.levels[level] for level in levels}
    groups = [
        msgspec.structs.replace(group, sifat={level: group.sifat[level] for level in levels if level in group.sifat})
        for group in transcript.groups
    ]
    return msgspec.structs.replace(transcript, levels=kept, groups=[group for group in groups if group.sifat])


def chosen_levels(names: str, available: Sequence[str]) -> list[str]:
    """The levels that ``names`` means, in their order: the first if it is empty, ``all``, or names between commas.

    Raises UnknownLevelError.
    """
    if not names:
        return list(available[:1])
    if names == "all":
        return list(available)
    requested = [name.strip() for name in names.split(",")]
    check_levels(requested, available)
    return [level for level in available if level in requested]


def check_levels(levels: Sequence[str], available: Sequence[str]) -> None:
    """Raise UnknownLevelError for the first of ``levels`` that is not ``available``."""
    for level in levels:
        if level not in available:
            raise UnknownLevelError(level, available)


def _without_specials(runs: Runs, vocabulary: LevelVocabulary) -> Runs:
    kept = ~np.isin(runs.ids, vocabulary.specials)
    return Runs(runs.ids[kept], runs.starts[kept], runs.stops[kept], runs.confidence[kept])


def _level(runs: Runs, vocabulary: LevelVocabulary, rate: float) -> LevelResult:
    ids = runs.ids.tolist()
    tokens = [
        Token(index, token_text(index, vocabulary), round(start / rate, 3), round(stop / rate, 3), round(confidence, 4))
        for index, start, stop, confidence in zip(
            ids, runs.starts.tolist(), runs.stops.tolist(), runs.confidence.tolist(), strict=True
        )
    ]
    return LevelResult(text_of(ids, vocabulary), _mean(tokens), tokens)


def _mean(tokens: list[Token]) -> float:
    return round(sum(token.confidence for token in tokens) / len(tokens), 4) if tokens else 0.0


def _groups(levels: Mapping[str, LevelResult]) -> list[Group]:
    tokens = {level: result.tokens for level, result in levels.items()}
    return [
        Group(
            group.text,
            group.start,
            group.end,
            {level: None if index is None else tokens[level][index] for level, index in group.sifat.items()},
        )
        for group in assign_sifat(tokens)
    ]


def _units(level: str, result: LevelResult, vocabulary: LevelVocabulary) -> list[_Unit]:
    """Words, phoneme groups, or tokens: what a cue never splits."""
    tokens = result.tokens
    if vocabulary.word_delimiter is not None:
        delimiter = vocabulary.tokens.index(vocabulary.word_delimiter)
        words = [list(run) for is_word, run in groupby(tokens, lambda token: token.id != delimiter) if is_word]
        return [_Unit(word, [delimiter] if index else []) for index, word in enumerate(words)]
    starts = unit_starts(level, [token.text for token in tokens])
    return [_Unit(tokens[first:stop], []) for first, stop in pairwise([*starts, len(tokens)])]


def _segments(units: list[_Unit], vocabulary: LevelVocabulary) -> list[Segment]:
    pieces: list[list[_Unit]] = []
    for unit in units:
        start, end = unit.tokens[0].start, unit.tokens[-1].end
        if (
            not pieces
            or start - pieces[-1][-1].tokens[-1].end >= _PAUSE_SECONDS
            or end - pieces[-1][0].tokens[0].start > _LONGEST_SECONDS
        ):
            pieces.append([])
        pieces[-1].append(unit)
    segments = []
    for piece in pieces:
        tokens = [token for unit in piece for token in unit.tokens]
        ids = [index for unit in piece for index in (*unit.delimiter, *(token.id for token in unit.tokens))]
        ids = ids[len(piece[0].delimiter) :]
        segments.append(Segment(text_of(ids, vocabulary), tokens[0].start, tokens[-1].end, _mean(tokens)))
    return segments
