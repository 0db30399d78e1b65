"""The parameters of OpenAI's transcription, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...runtimes import chosen_levels
from .errors import RequestError
from .forms import Form

FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "qasr_json")
"""``qasr_json`` is ours: what ``qinfer --format json`` writes."""

_GRANULARITIES = ("word", "segment")
_INCLUDES = ("logprobs",)
_STREAMABLE = ("json", "text")
_EVALUATED = {"file", "model", "response_format", "stream", "levels", "timestamp_granularities", "include"}
# What may stand in a header.
_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class TranscriptionRequest:
    """What a client wants."""

    format: str = "json"
    levels: str = ""
    """As ``chosen_levels`` takes them."""
    words: bool = False
    segments: bool = True
    logprobs: bool = False
    stream: bool = False
    language: str | None = None
    """Repeated in the answer; it changes nothing."""
    ignored: tuple[str, ...] = ()
    """Names of fields that have no effect on this server."""

    def chosen(self, available: list[str]) -> list[str]:
        """The levels, in the order of the model. Raises UnknownLevelError."""
        return chosen_levels(self.levels, available)


def read_request(form: Form) -> TranscriptionRequest:
    """The request of a form. Raises RequestError, which names the field."""
    layout = one_of("response_format", form.one("response_format") or "json", FORMATS)
    granularities = [
        one_of("timestamp_granularities", one, _GRANULARITIES) for one in form.several("timestamp_granularities")
    ]
    if granularities and layout != "verbose_json":
        raise RequestError(
            "timestamp_granularities needs response_format verbose_json", param="timestamp_granularities"
        )
    logprobs = bool([one_of("include", one, _INCLUDES) for one in form.several("include")])
    if logprobs and layout != "json":
        raise RequestError("include logprobs needs response_format json", param="include")
    stream = _flag("stream", form.one("stream"))
    if stream and layout not in _STREAMABLE:
        raise RequestError(f"stream needs response_format {' or '.join(_STREAMABLE)}", param="stream")
    _check_temperature(form.one("temperature"))
    names = {name.removesuffix("[]") for name in form.fields} - _EVALUATED
    return TranscriptionRequest(
        format=layout,
        levels=",".join(form.several("levels")),
        words="word" in granularities,
        segments=not granularities or "segment" in granularities,
        logprobs=logprobs,
        stream=stream,
        language=form.one("language"),
        ignored=tuple(sorted(name for name in names if _FIELD.fullmatch(name))),
    )


def one_of(field: str, value: str, choices: tuple[str, ...]) -> str:
    """``value`` if it is one of ``choices``. Raises RequestError, which names the field."""
    if value not in choices:
        raise RequestError(f"{field} must be {', '.join(choices)}, not {value!r}", param=field)
    return value


def _flag(field: str, value: str | None) -> bool:
    return one_of(field, (value or "false").lower(), ("true", "false", "1", "0")) in ("true", "1")


def _check_temperature(value: str | None) -> None:
    try:
        valid = value is None or 0.0 <= float(value) <= 1.0
    except ValueError:
        valid = False
    if not valid:
        raise RequestError(f"temperature must be a number from 0 to 1, not {value!r}", param="temperature")
