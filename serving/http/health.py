"""Whether the process lives, whether it should get requests, and its metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    responses={
        503: {
            "description": "Loading, draining, or an engine is being replaced",
            "content": {"application/json": {"schema": {"type": "object", "required": ["status", "reason"]}}},
        }
    },
)
async def readyz(request: Request) -> JSONResponse:
    """200 if every model is loaded and its engine makes progress; 503 with the reason otherwise."""
    reason = request.app.state.models.not_ready()
    if reason is None:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "not ready", "reason": reason}, 503)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
