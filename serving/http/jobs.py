"""Jobs: ``POST /v1/jobs`` keeps a recording, and its transcript is fetched later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from ..jobs.runner import Jobs
from ..jobs.store import DONE, FAILED, Job
from . import openai_layout
from .errors import RequestError
from .forms import read_form
from .openai_request import FORMATS, TranscriptionRequest, one_of
from .transcribing import form_schema

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_FIELDS: dict[str, Any] = {"model": {"type": "string", "description": "An id of /v1/models; the first by default."}}


@router.post("", status_code=202, openapi_extra=form_schema(_FIELDS))
async def submit(request: Request) -> JSONResponse:
    """Keep a recording, to be transcribed behind the requests of clients that wait."""
    jobs: Jobs = request.app.state.jobs
    form = await read_form(request)
    try:
        job = await jobs.submit(form.one("model"), form.name, form.file.file)
    finally:
        await form.close()
    return JSONResponse(_described(jobs, job), 202, {"location": f"/v1/jobs/{job.id}"})


@router.get("/{job}")
async def state(request: Request, job: str) -> dict[str, Any]:
    """The state of a job."""
    jobs: Jobs = request.app.state.jobs
    return _described(jobs, await _find(jobs, job))


@router.get("/{job}/events", response_class=StreamingResponse)
async def events(request: Request, job: str) -> StreamingResponse:
    """The state now and after every change, as server-sent events, until the job is finished."""
    jobs: Jobs = request.app.state.jobs
    await _find(jobs, job)

    async def lines() -> AsyncIterator[bytes]:
        async for one in jobs.watch(job):
            yield b"data: " + msgspec.json.encode(_described(jobs, one)) + b"\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.get("/{job}/result", response_class=Response, responses={409: {"description": "The job is not finished"}})
async def result(request: Request, job: str, response_format: str = "json", levels: str = "") -> Response:
    """The transcript in any format of ``/v1/audio/transcriptions``; the error of a job that failed."""
    jobs: Jobs = request.app.state.jobs
    found = await _find(jobs, job)
    wanted = TranscriptionRequest(format=one_of("response_format", response_format, FORMATS), levels=levels)
    if found.state == FAILED:
        error = msgspec.json.decode(found.error or "{}")
        raise RequestError(str(error.get("message")), status=422, param=error.get("param"), code=error.get("code"))
    transcript = await jobs.transcript(job)
    if found.state != DONE or transcript is None:
        raise RequestError(f"the job is {found.state}", status=409, code="not_finished")
    return openai_layout.response(wanted, transcript, {})


@router.delete("/{job}", status_code=204)
async def delete(request: Request, job: str) -> Response:
    """Cancel a job, and delete its audio and transcript."""
    jobs: Jobs = request.app.state.jobs
    if not await jobs.delete(job):
        raise _unknown()
    return Response(status_code=204)


def _described(jobs: Jobs, job: Job) -> dict[str, Any]:
    progress = jobs.progress(job.id)
    return {
        "id": job.id,
        "object": "job",
        "status": job.state,
        "model": job.model,
        "file": job.name,
        "created": int(job.created),
        "finished": None if job.finished is None else int(job.finished),
        "seconds_done": None if progress is None else progress.seconds,
        "error": None if job.error is None else msgspec.json.decode(job.error),
    }


async def _find(jobs: Jobs, job: str) -> Job:
    found = await jobs.get(job)
    if found is None:
        raise _unknown()
    return found


def _unknown() -> RequestError:
    return RequestError("no such job; it may have expired", status=404, code="job_not_found")
