"""Transcripts in OpenAI's layouts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from ...runtimes import Segment, Token, Transcript, select
from ...runtimes.ctc.formats import FORMATS, json
from .openai_request import TranscriptionRequest

_UNKNOWN_LANGUAGE = "und"  # ISO 639-2: undetermined
_LEAST = 1e-10


_MEDIA_TYPES = {
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "qasr_json": "application/json",
}


def response(request: TranscriptionRequest, transcript: Transcript, headers: Mapping[str, str]) -> Response:
    """The transcript in the requested format. Raises UnknownLevelError."""
    chosen = request.chosen(list(transcript.levels))
    if request.format in _MEDIA_TYPES:
        text = plain(request, transcript, chosen)
        return PlainTextResponse(text, headers=headers, media_type=_MEDIA_TYPES[request.format])
    return JSONResponse(body(request, transcript, chosen), headers=dict(headers))


def plain(request: TranscriptionRequest, transcript: Transcript, chosen: list[str]) -> str:
    """Text, subtitles, or our JSON: what ``qinfer`` writes in that format."""
    layouts = FORMATS | {"qasr_json": json}
    return layouts[request.format]([select(transcript, chosen)])


def usage(transcript: Transcript) -> dict[str, Any]:
    """What was used, in OpenAI's terms: whole seconds of audio."""
    return {"type": "duration", "seconds": math.ceil(transcript.seconds)}


def body(request: TranscriptionRequest, transcript: Transcript, chosen: list[str]) -> dict[str, Any]:
    """``json`` and ``verbose_json``. Levels are added where a client names some."""
    result: dict[str, Any] = {"text": transcript.text, "usage": usage(transcript)}
    if request.levels:
        result["levels"] = {level: transcript.levels[level].text for level in chosen}
    if request.logprobs:
        result["logprobs"] = logprobs(transcript)
    if request.format == "verbose_json":
        result |= {
            "task": "transcribe",
            "language": request.language or _UNKNOWN_LANGUAGE,
            "duration": transcript.seconds,
        }
        if request.segments:
            result["segments"] = [_segment(transcript, index) for index in range(len(transcript.segments))]
        if request.words:
            result["words"] = _words(transcript)
    return result


def logprobs(transcript: Transcript) -> list[dict[str, Any]]:
    """Every token of the first level: its text, log-probability and UTF-8 bytes."""
    return [
        {"token": token.text, "logprob": _log(token.confidence), "bytes": list(token.text.encode())}
        for token in _tokens(transcript)
    ]


def _segment(transcript: Transcript, index: int) -> dict[str, Any]:
    """One segment. ``seek`` and ``no_speech_prob`` are Whisper's; a CTC model has neither, so they are 0."""
    segment = transcript.segments[index]
    encoded = segment.text.encode()
    return {
        "id": index,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [token.id for token in _tokens(transcript) if _starts_in(segment, token)],
        "temperature": 0.0,
        "avg_logprob": _log(segment.confidence),
        "compression_ratio": round(len(encoded) / len(zlib.compress(encoded)), 4),
        "no_speech_prob": 0.0,
    }


def _starts_in(segment: Segment, token: Token) -> bool:
    return segment.start <= token.start < segment.end


def _words(transcript: Transcript) -> list[dict[str, Any]]:
    """Words; phoneme groups for a model of recitation; tokens for a model that separates no words."""
    if transcript.groups:
        return [{"word": group.text, "start": group.start, "end": group.end} for group in transcript.groups]
    tokens = _tokens(transcript)
    if any(token.text == " " for token in tokens):
        runs = [list(run) for is_word, run in groupby(tokens, lambda token: token.text != " ") if is_word]
    else:
        runs = [[token] for token in tokens]
    return [{"word": "".join(token.text for token in run), "start": run[0].start, "end": run[-1].end} for run in runs]


def _tokens(transcript: Transcript) -> list[Token]:
    return next(iter(transcript.levels.values())).tokens


def _log(probability: float) -> float:
    return round(math.log(max(probability, _LEAST)), 4)
