"""Transcripts as text, JSON and subtitles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from .transcript import Segment, Transcript


def text(transcripts: Sequence[Transcript]) -> str:
    """One line a recording."""
    return "".join(f"{transcript.text}\n" for transcript in transcripts)


def json(transcripts: Sequence[Transcript]) -> str:
    """One object, or an array of several."""
    content = transcripts[0] if len(transcripts) == 1 else list(transcripts)
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def jsonl(transcripts: Sequence[Transcript]) -> str:
    """One object a line and recording."""
    return "".join(msgspec.json.encode(transcript).decode() + "\n" for transcript in transcripts)


def srt(transcripts: Sequence[Transcript]) -> str:
    """SubRip subtitles of one recording."""
    cues = (
        f"{number}\n{_times(segment, ',')}\n{segment.text}\n"
        for number, segment in enumerate(_segments(transcripts), 1)
    )
    return "\n".join(cues)


def vtt(transcripts: Sequence[Transcript]) -> str:
    """WebVTT subtitles of one recording."""
    cues = (f"\n{_times(segment, '.')}\n{segment.text}\n" for segment in _segments(transcripts))
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


def _segments(transcripts: Sequence[Transcript]) -> list[Segment]:
    if len(transcripts) != 1:
        raise ValueError("subtitles describe one recording")
    return transcripts[0].segments


def _times(segment: Segment, point: str) -> str:
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}"


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
