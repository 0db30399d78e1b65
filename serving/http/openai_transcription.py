"""OpenAI's transcription: ``POST /v1/audio/transcriptions``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from ..models import Models
from . import openai_layout
from .connection import until_gone
from .errors import RequestError
from .openai_request import FORMATS, read_request
from .openai_stream import stream
from .transcribing import admit_form, form_schema, start

router = APIRouter(tags=["openai"])

_FIELDS: dict[str, Any] = {
    "model": {"type": "string", "description": "An id of /v1/models."},
    "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    "timestamp_granularities[]": {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}},
    "include[]": {"type": "array", "items": {"type": "string", "enum": ["logprobs"]}},
    "stream": {"type": "boolean", "default": False},
    "levels": {"type": "string", "description": "all, or names between commas; the first by default."},
    "language": {"type": "string", "description": "Repeated in verbose_json, otherwise ignored."},
    "prompt": {"type": "string", "description": "Ignored."},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "Ignored: decoding is greedy."},
}


@router.post(
    "/v1/audio/transcriptions",
    response_class=Response,
    openapi_extra=form_schema(_FIELDS, "model"),
    responses={200: {"description": "The transcript in the requested format", "content": {"application/json": {}}}},
)
async def transcriptions(request: Request) -> Response:
    """Transcribe one recording."""
    models: Models = request.app.state.models
    form = await admit_form(request, models)
    try:
        wanted = read_request(form)
        name = form.one("model")
        if name is None:
            raise RequestError(f"model is missing; available are {', '.join(models.names)}", param="model")
        model = models.get(name)
        wanted.chosen(model.levels)
    except BaseException:
        await form.close()
        raise
    headers = (
        {"x-qasr-ignored": ", ".join(wanted.ignored).encode("ascii", "replace").decode()} if wanted.ignored else {}
    )
    if wanted.stream:
        return await stream(request, form, model, wanted, headers)
    transcript = await until_gone(request, start(form, model))
    return openai_layout.response(wanted, transcript, headers)
