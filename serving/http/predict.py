"""The incumbent's interface: ``POST /predict`` with a ``file`` gives ``{"phonemes": …}``, for audio of any length."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..models import Models
from .connection import until_gone
from .transcribing import admit_form, form_schema, start

router = APIRouter(tags=["predict"])


@router.post("/predict", openapi_extra=form_schema({}))
async def predict(request: Request) -> dict[str, str]:
    """The phonemes (the text of the first level) of one recording, by the first model."""
    models: Models = request.app.state.models
    form = await admit_form(request, models)
    transcript = await until_gone(request, start(form, models.get(None)))
    return {"phonemes": transcript.text}
