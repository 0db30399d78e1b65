"""From a form to a transcript, for every protocol that uploads one recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import Request

from ...runtimes import Transcript
from ..models import Models
from ..scheduler.model import Progress, ServedModel
from .forms import Form, read_form


async def admit_form(request: Request, models: Models) -> Form:
    """The form of a request. One that would be refused anyway is refused before its body is read."""
    models.check_load()
    return await read_form(request)


def start(
    form: Form, model: ServedModel, on_progress: Callable[[Progress], None] | None = None
) -> asyncio.Task[Transcript]:
    """Start the transcription of a form's recording. The task deletes the upload at its end, also when cancelled."""

    async def work() -> Transcript:
        try:
            with model.ticket() as ticket:
                return await model.transcribe(form.file.file, form.name, ticket, on_progress)
        finally:
            await form.close()

    return asyncio.create_task(work())


def form_schema(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    """The OpenAPI description of a form with a ``file`` and other ``fields``, some of them ``required``."""
    file = {"type": "string", "format": "binary", "description": "Audio of any common format, rate and length."}
    schema = {"type": "object", "required": ["file", *required], "properties": {"file": file, **fields}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
