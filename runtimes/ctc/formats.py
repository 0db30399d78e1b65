"""Transcripts as text, JSON and subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import inf
from typing import NamedTuple

import msgspec

from .transcript import Transcript

_SHORTEST_SECONDS = 1.0


def text(transcripts: Sequence[Transcript]) -> str:
    """One line a recording; of several levels one line each, headed by the level's name."""
    return "".join(
        f"{line}\n"
        for transcript in transcripts
        for line in _headed({level: result.text for level, result in transcript.levels.items()})
    )


def json(transcripts: Sequence[Transcript]) -> str:
    """An object where there is one recording, an array of them otherwise."""
    return json_object(transcripts[0]) if len(transcripts) == 1 else json_array(transcripts)


def json_object(transcript: Transcript) -> str:
    """One object."""
    return _indented(msgspec.json.encode(transcript))


def json_array(transcripts: Sequence[Transcript]) -> str:
    """An array of objects, also for one recording or none."""
    return _indented(msgspec.json.encode(list(transcripts)))


def jsonl(transcripts: Sequence[Transcript]) -> str:
    """One object a line and recording."""
    return "".join(msgspec.json.encode(transcript).decode() + "\n" for transcript in transcripts)


def srt(transcripts: Sequence[Transcript]) -> str:
    """SubRip subtitles of one recording."""
    cues = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(_cues(transcripts), 1)
    )
    return "\n".join(cues)


def vtt(transcripts: Sequence[Transcript]) -> str:
    """WebVTT subtitles of one recording."""
    cues = (
        # The three characters that WebVTT reads as markup.
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{escape(cue.text, quote=False)}\n"
        for cue in _cues(transcripts)
    )
    return "WEBVTT\n" + "".join(cues)


FORMATS: dict[str, Callable[[Sequence[Transcript]], str]] = {
    "text": text,
    "json": json,
    "jsonl": jsonl,
    "srt": srt,
    "vtt": vtt,
}
"""The table of output formats."""

SINGLE = frozenset({"srt", "vtt"})
"""Formats in which one file describes one recording."""

SUFFIXES = {"text": ".txt", "json": ".json", "jsonl": ".jsonl", "srt": ".srt", "vtt": ".vtt"}


class _Cue(NamedTuple):
    start: float
    end: float
    text: str


def _cues(transcripts: Sequence[Transcript]) -> Iterator[_Cue]:
    """A cue for every segment: each chosen level's tokens up to the next one, a line a level."""
    if len(transcripts) != 1:
        raise ValueError("subtitles describe one recording")
    segments, levels = transcripts[0].segments, transcripts[0].levels
    starts = [segment.start for segment in segments]
    for place, segment in enumerate(segments):
        until = starts[place + 1] if place + 1 < len(starts) else inf
        since = segment.start if place else 0.0
        texts = {
            level: " ".join("".join(token.text for token in result.tokens if since <= token.start < until).split())
            for level, result in levels.items()
        }
        # A token lasts a frame or two, and a cue must stay long enough to be read.
        yield _Cue(
            segment.start, min(max(segment.end, segment.start + _SHORTEST_SECONDS), until), "\n".join(_headed(texts))
        )


def _headed(texts: dict[str, str]) -> list[str]:
    return list(texts.values()) if len(texts) == 1 else [f"{level}: {text}" for level, text in texts.items()]


def _indented(encoded: bytes) -> str:
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
