"""OpenAI's streamed transcription: server-sent events, while a long recording is transcribed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ...errors import QasrError
from ...runtimes import Transcript
from ..scheduler.model import Progress, ServedModel
from .connection import until_gone
from .errors import answer
from .forms import Form
from .openai_layout import logprobs, usage
from .openai_request import TranscriptionRequest
from .transcribing import start


class _EventStream(StreamingResponse):
    """A stream of events whose work ends with it, also if the client leaves before the first event."""

    def __init__(
        self, events: AsyncIterator[bytes], work: asyncio.Task[Transcript], headers: Mapping[str, str]
    ) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store", **headers})
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._work.cancel()


async def stream(
    request: Request, form: Form, model: ServedModel, wanted: TranscriptionRequest, headers: Mapping[str, str]
) -> Response:
    """The response. It begins with the first text, so what is refused before that has its own status."""
    texts: asyncio.Queue[str | None] = asyncio.Queue()

    def progress(done: Progress) -> None:
        texts.put_nowait(done.text)

    work = start(form, model, progress)
    work.add_done_callback(lambda _: texts.put_nowait(None))
    first = asyncio.create_task(_first(texts, work))
    try:
        begun = await until_gone(request, first)
    except BaseException:
        work.cancel()
        with suppress(asyncio.CancelledError, QasrError):
            await work
        raise
    return _EventStream(_events(begun, texts, work, wanted), work, headers)


async def _first(texts: asyncio.Queue[str | None], work: asyncio.Task[Transcript]) -> str | None:
    """The first partial text; None if the transcript is there. Raises the error of the work."""
    text = await texts.get()
    if text is None:
        work.result()
    return text


async def _events(
    text: str | None, texts: asyncio.Queue[str | None], work: asyncio.Task[Transcript], wanted: TranscriptionRequest
) -> AsyncIterator[bytes]:
    sent = ""
    while text is not None:
        if text.startswith(sent) and text != sent:
            yield _event({"type": "transcript.text.delta", "delta": text.removeprefix(sent)})
            sent = text
        text = await texts.get()
    try:
        transcript = work.result()
    except Exception as error:
        yield _event(answer(error).body())
        return
    if transcript.text.startswith(sent) and transcript.text != sent:
        yield _event({"type": "transcript.text.delta", "delta": transcript.text.removeprefix(sent)})
    done: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text, "usage": usage(transcript)}
    if wanted.logprobs:
        done["logprobs"] = logprobs(transcript)
    yield _event(done)
    yield b"data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
