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
    """One line for each recording, or for each level, which begins with the level's name if there are several."""
    return "".join(
        f"{line}\n"
        for transcript in transcripts
        for line in _with_level_names({level: result.text for level, result in transcript.levels.items()})
    )


def json(transcripts: Sequence[Transcript]) -> str:
    """An object for one recording, an array of objects for several."""
    return json_object(transcripts[0]) if len(transcripts) == 1 else json_array(transcripts)


def json_object(transcript: Transcript) -> str:
    """One object."""
    return _indented(_encoded(transcript))


def json_array(transcripts: Sequence[Transcript]) -> str:
    """An array of objects, for any number of recordings."""
    return _indented(b"[" + b",".join(_encoded(transcript) for transcript in transcripts) + b"]")


def jsonl(transcripts: Sequence[Transcript]) -> str:
    """One object in each line, for each recording."""
    return "".join(_encoded(transcript).decode() + "\n" for transcript in transcripts)


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
        # Escapes the characters that WebVTT reads as markup.
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
"""Formats whose files describe one recording."""

SUFFIXES = {"text": ".txt", "json": ".json", "jsonl": ".jsonl", "srt": ".srt", "vtt": ".vtt"}


class _Cue(NamedTuple):
    start: float
    end: float
    text: str


def _cues(transcripts: Sequence[Transcript]) -> Iterator[_Cue]:
    """A cue for each segment, with one line for each level: its tokens before the next segment."""
    if len(transcripts) != 1:
        raise ValueError("subtitles describe one recording")
    segments, levels = transcripts[0].segments, transcripts[0].levels
    starts = [segment.start for segment in segments]
    for index, segment in enumerate(segments):
        until = starts[index + 1] if index + 1 < len(starts) else inf
        since = segment.start if index else 0.0
        texts = {
            level: " ".join("".join(token.text for token in result.tokens if since <= token.start < until).split())
            for level, result in levels.items()
        }
        # A token lasts a frame or two, but a cue must be visible long enough to be read.
        end = min(max(segment.end, segment.start + _SHORTEST_SECONDS), until)
        yield _Cue(segment.start, end, "\n".join(_with_level_names(texts)))


def _with_level_names(texts: dict[str, str]) -> list[str]:
    return list(texts.values()) if len(texts) == 1 else [f"{level}: {text}" for level, text in texts.items()]


def _encoded(transcript: Transcript) -> bytes:
    """JSON. A file name that is not UTF-8, which Python keeps as surrogates, has its other bytes escaped."""
    name = transcript.audio.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return msgspec.json.encode(msgspec.structs.replace(transcript, audio=name))


def _indented(encoded: bytes) -> str:
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
