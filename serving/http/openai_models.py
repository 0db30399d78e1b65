"""OpenAI's list of models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from ..models import Models
from ..scheduler.model import ServedModel

router = APIRouter(prefix="/v1/models", tags=["openai"])


@router.get("")
async def listed(request: Request) -> dict[str, Any]:
    """The models that are loaded."""
    models: Models = request.app.state.models
    return {"object": "list", "data": [_described(model) for model in models.loaded]}


@router.get("/{model}")
async def one(request: Request, model: str) -> dict[str, Any]:
    """One model."""
    models: Models = request.app.state.models
    return _described(models.get(model))


def _described(model: ServedModel) -> dict[str, Any]:
    """OpenAI's four fields, and ours: what the artifact is."""
    manifest = model.manifest
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.loaded_at),
        "owned_by": "qasr",
        "target": manifest.target,
        "method": manifest.method,
        "source": manifest.source.name,
        "digest": manifest.digest,
        "levels": model.levels,
        "frame_rate_hz": manifest.frame_rate_hz,
    }
