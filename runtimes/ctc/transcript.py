"""What a transcription gives: text, tokens with times and confidences for every level, groups and segments."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np

from ...artifacts import LevelVocabulary
from ...recitation import groups as grouping
from .decoding import Frames, Runs, Vocabularies, collapse

PHONEMES = "phonemes"
"""The level whose groups the sifat levels describe."""

# Seconds. Cues end at a pause, and in a long stretch without one after ten seconds.
_PAUSE_SECONDS = 0.4
_LONGEST_SECONDS = 10.0


class Token(msgspec.Struct, frozen=True):
    """A decoded token; times in seconds, confidence the mean probability over its frames."""

    id: int
    text: str
    start: float
    end: float
    confidence: float


class LevelResult(msgspec.Struct, frozen=True):
    """One level's transcript; confidence is the mean over its tokens, 0 where there are none."""

    text: str
    confidence: float
    tokens: list[Token]


class Group(msgspec.Struct, frozen=True):
    """A phoneme group and the token of each sifat level that belongs to it, None where one is missing."""

    text: str
    start: float
    end: float
    sifat: dict[str, Token | None]


class Segment(msgspec.Struct, frozen=True):
    """A stretch of the first level between pauses, as subtitles show it."""

    text: str
    start: float
    end: float
    confidence: float


class _Unit(NamedTuple):
    tokens: list[Token]
    space: str
    """What parts it from the unit before."""


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


def transcribe_frames(
    frames: Frames, vocabularies: Vocabularies, *, audio: str, seconds: float, frame_rate_hz: float
) -> Transcript:
    """The transcript of a recording's decoded frames."""
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
        groups=_groups(levels) if PHONEMES in levels and len(levels) > 1 else [],
        segments=_segments(_units(first, levels[first], vocabularies[first].word_delimiter is not None)),
    )


def select(transcript: Transcript, levels: list[str]) -> Transcript:
    """The transcript with only some of its levels; groups stay where a sifat level does."""
    kept = {level: transcript.levels[level] for level in levels}
    sifat = [level for level in levels if level != PHONEMES]
    narrowed = [
        msgspec.structs.replace(group, sifat={level: group.sifat[level] for level in sifat})
        for group in transcript.groups
        if sifat
    ]
    return msgspec.structs.replace(transcript, levels=kept, groups=narrowed)


def _without_specials(runs: Runs, vocabulary: LevelVocabulary) -> Runs:
    kept = ~np.isin(runs.ids, vocabulary.specials)
    return Runs(runs.ids[kept], runs.starts[kept], runs.stops[kept], runs.confidence[kept])


def _level(runs: Runs, vocabulary: LevelVocabulary, rate: float) -> LevelResult:
    texts = [
        " " if vocabulary.tokens[index] == vocabulary.word_delimiter else vocabulary.tokens[index] for index in runs.ids
    ]
    tokens = [
        Token(index, text, round(start / rate, 3), round(stop / rate, 3), round(confidence, 4))
        for index, text, start, stop, confidence in zip(
            runs.ids.tolist(), texts, runs.starts.tolist(), runs.stops.tolist(), runs.confidence.tolist(), strict=True
        )
    ]
    return LevelResult(_join(texts, vocabulary.word_delimiter), _mean(tokens), tokens)


def _join(texts: list[str], delimiter: str | None) -> str:
    text = "".join(texts)
    return " ".join(text.split()) if delimiter is not None else text


def _mean(tokens: list[Token]) -> float:
    return round(sum(token.confidence for token in tokens) / len(tokens), 4) if tokens else 0.0


def _groups(levels: Mapping[str, LevelResult]) -> list[Group]:
    phonemes = levels[PHONEMES]
    spans = _group_spans(phonemes)
    starts = np.array([phonemes.tokens[first].start for first, _ in spans])
    stops = np.array([phonemes.tokens[last].end for _, last in spans])
    sifat = {level: result.tokens for level, result in levels.items() if level != PHONEMES}
    chosen = {
        level: grouping.align(np.array([(token.start + token.end) / 2 for token in tokens]), starts, stops)
        for level, tokens in sifat.items()
    }
    return [
        Group(
            "".join(token.text for token in phonemes.tokens[first : last + 1]),
            phonemes.tokens[first].start,
            phonemes.tokens[last].end,
            {
                level: tokens[chosen[level][place]] if chosen[level][place] >= 0 else None
                for level, tokens in sifat.items()
            },
        )
        for place, (first, last) in enumerate(spans)
    ]


def _group_spans(phonemes: LevelResult) -> list[tuple[int, int]]:
    """First and last token of every phoneme group."""
    # Characters and tokens differ where a vocabulary has tokens of several characters.
    owner = [index for index, token in enumerate(phonemes.tokens) for _ in token.text]
    return [(owner[begin], owner[end - 1]) for begin, end in grouping.spans(phonemes.text)]


def _units(level: str, result: LevelResult, words: bool) -> list[_Unit]:
    """What a cue never splits: words, phoneme groups, or else tokens."""
    tokens = result.tokens
    if words:
        runs = [list(run) for spoken, run in groupby(tokens, lambda token: token.text != " ") if spoken]
        # The space stands with the word that it precedes, so that cues are joined as any other text.
        return [_Unit(run, " " if place else "") for place, run in enumerate(runs)]
    heads = {first for first, _ in _group_spans(result)} if level == PHONEMES else set(range(len(tokens)))
    units: list[_Unit] = []
    for place, token in enumerate(tokens):
        if not units or place in heads:
            units.append(_Unit([], ""))
        units[-1].tokens.append(token)
    return units


def _segments(units: list[_Unit]) -> list[Segment]:
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
        text = "".join(unit.space + "".join(token.text for token in unit.tokens) for unit in piece).strip()
        segments.append(Segment(text, tokens[0].start, tokens[-1].end, _mean(tokens)))
    return segments
