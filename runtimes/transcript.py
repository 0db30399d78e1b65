"""What a transcription gives: text, tokens with times and confidences for every level, groups and segments."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from ..artifacts import LevelVocabulary
from . import groups as grouping
from .decoding import Frames, Runs, Vocabularies, collapse

PHONEMES = "phonemes"
"""The level whose groups the sifat levels describe."""

# Cues end at a pause, and in a long stretch without one after ten seconds.
_PAUSE_SECONDS = 0.4
_LONGEST_SECONDS = 10.0


class Token(msgspec.Struct, frozen=True):
    """A decoded token; times in seconds, confidence the mean probability over its frames."""

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
        segments=_segments(levels[first].tokens, vocabularies[first].word_delimiter),
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
        Token(text, round(start / rate, 3), round(stop / rate, 3), round(confidence, 4))
        for text, start, stop, confidence in zip(
            texts, runs.starts.tolist(), runs.stops.tolist(), runs.confidence.tolist(), strict=True
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
    # Characters and tokens differ where a vocabulary has tokens of several characters.
    owner = [index for index, token in enumerate(phonemes.tokens) for _ in token.text]
    spans = [(owner[begin], owner[end - 1]) for begin, end in grouping.spans(phonemes.text)]
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


def _segments(tokens: list[Token], delimiter: str | None) -> list[Segment]:
    pieces: list[list[Token]] = []
    for token in tokens:
        if not pieces or _breaks(pieces[-1], token, words=delimiter is not None):
            pieces.append([])
        pieces[-1].append(token)
    segments = []
    for piece in pieces:
        text = _join([token.text for token in piece], delimiter)
        if text:
            segments.append(Segment(text, piece[0].start, piece[-1].end, _mean(piece)))
    return segments


def _breaks(piece: list[Token], token: Token, *, words: bool) -> bool:
    if token.start - piece[-1].end >= _PAUSE_SECONDS:
        return True
    # Where words are written, a cue that has grown too long still ends between two of them.
    return token.end - piece[0].start > _LONGEST_SECONDS and (not words or piece[-1].text == " ")
