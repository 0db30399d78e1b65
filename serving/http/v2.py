"""The Open Inference Protocol, version 2, over REST.

A model takes ``audio`` (BYTES: files of any format), and gives ``text`` and ``transcript``; or its own two tensors, a
padded batch and lengths, and gives the best token of every frame by level.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ...runtimes import Transcript
from ...runtimes.ctc.decoding import Frames
from ...runtimes.ctc.formats import json_object
from ...version import __version__
from ..errors import TooLargeError, UnavailableError
from ..models import Models
from ..scheduler.model import ServedModel
from .connection import until_gone
from .errors import RequestError
from .v2_tensors import Array, InferRequest, decode, encode

_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "Not ready",
        "content": {"application/json": {"schema": {"type": "object", "required": ["ready"]}}},
    }
}

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

_MOST_BYTES = 64_000_000
"""These bodies are kept in memory."""
_MOST_CLIPS = 64
_AUDIO, _TEXT, _TRANSCRIPT, _LENGTHS = "audio", "text", "transcript", "output_lengths"


@router.get("")
async def server() -> dict[str, Any]:
    """What this server is."""
    return {"name": "qserve", "version": __version__, "extensions": ["binary_tensor_data"]}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Whether the process answers."""
    return {"live": True}


@router.get("/health/ready", responses=_UNREADY)
async def ready(request: Request) -> JSONResponse:
    """Whether all models are ready."""
    models: Models = request.app.state.models
    is_ready = models.not_ready() is None
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get("/models/{name}/ready", responses=_UNREADY)
@router.get("/models/{name}/versions/{version}/ready", responses=_UNREADY)
async def model_ready(request: Request, name: str, version: str = "1") -> JSONResponse:
    """Whether one model is ready."""
    try:
        is_ready = _model(request, name, version).is_ready
    except UnavailableError:
        is_ready = False
    return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{version}")
async def metadata(request: Request, name: str, version: str = "1") -> dict[str, Any]:
    """Inputs and outputs of a model."""
    model = _model(request, name, version)
    front_end = model.manifest.front_end
    features, lengths = front_end.input_names
    outputs = [_tensor(_TEXT, "BYTES", [-1]), _tensor(_TRANSCRIPT, "BYTES", [-1]), _tensor(_LENGTHS, "INT64", [-1])]
    for level in model.levels:
        outputs += [_tensor(level, "INT32", [-1, -1]), _tensor(f"{level}.confidence", "FP32", [-1, -1])]
    return {
        "name": model.name,
        "versions": ["1"],
        "platform": f"qasr_{model.manifest.target}",
        "inputs": [
            _tensor(_AUDIO, "BYTES", [-1]),
            _tensor(features, "FP32", [-1, -1, *front_end.shape(1, 1)[2:]]),
            _tensor(lengths, "INT64", [-1]),
        ],
        "outputs": outputs,
    }


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{version}/infer")
async def infer(request: Request, name: str, version: str = "1") -> Response:
    """Run a model."""
    model = _model(request, name, version)
    body = await _body(request)
    wanted, tensors = decode(body, request.headers.get("inference-header-content-length"))
    if set(tensors) == {_AUDIO}:
        outputs = await until_gone(request, asyncio.create_task(_transcripts(model, tensors[_AUDIO])))
    else:
        outputs = await until_gone(request, asyncio.create_task(_frames(model, tensors)))
    return _answer(wanted, model, outputs)


def _answer(wanted: InferRequest, model: ServedModel, outputs: dict[str, Array | list[bytes]]) -> Response:
    content, headers = encode(wanted, model.name, outputs)
    return Response(content, headers=headers)


@router.post("/repository/index")
async def index(request: Request) -> list[dict[str, str]]:
    """All models and their states."""
    models: Models = request.app.state.models
    loaded = {model.name: model for model in models.loaded}
    return [
        {"name": name, "version": "1", "state": "READY" if name in loaded and loaded[name].is_ready else "UNAVAILABLE"}
        for name in models.names
    ]


@router.post("/repository/models/{name}/load")
async def load(request: Request, name: str) -> JSONResponse:
    """Load a model's artifact again if it has changed, from the folder that the server was started with."""
    models: Models = request.app.state.models
    await models.refresh(name)
    return JSONResponse({})


def _model(request: Request, name: str, version: str) -> ServedModel:
    models: Models = request.app.state.models
    model = models.get(name)
    if version != "1":
        raise RequestError(f"{name} has no version {version!r}, only 1", status=404)
    return model


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise TooLargeError(f"the request is larger than {_MOST_BYTES / 1e6:g} MB", "too large")
    return bytes(body)


async def _transcripts(model: ServedModel, audio: Array | list[bytes]) -> dict[str, Array | list[bytes]]:
    if isinstance(audio, np.ndarray) or not 0 < len(audio) <= _MOST_CLIPS:
        raise RequestError(f"audio must be BYTES with 1 to {_MOST_CLIPS} elements", param=_AUDIO)

    async def one(number: int, data: bytes) -> Transcript:
        with model.ticket() as ticket:
            return await model.transcribe(io.BytesIO(data), f"audio {number}", ticket)

    tasks = [asyncio.create_task(one(number, data)) for number, data in enumerate(audio)]
    try:
        transcripts = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return {
        _TEXT: [transcript.text.encode() for transcript in transcripts],
        _TRANSCRIPT: [json_object(transcript).encode() for transcript in transcripts],
    }


async def _frames(model: ServedModel, tensors: dict[str, Array | list[bytes]]) -> dict[str, Array | list[bytes]]:
    features, lengths = _inputs(model, tensors)
    with model.ticket() as ticket:
        frames = await model.infer([row[:length] for row, length in zip(features, lengths, strict=True)], ticket)
    outputs: dict[str, Array | list[bytes]] = {_LENGTHS: np.array([len(one) for one in frames], np.int64)}
    for index, level in enumerate(model.levels):
        outputs[level] = _padded(frames, index, "best")
        outputs[f"{level}.confidence"] = _padded(frames, index, "confidence")
    return outputs


def _inputs(model: ServedModel, tensors: dict[str, Array | list[bytes]]) -> tuple[Array, list[int]]:
    """The padded batch as raw frames, and the lengths. Raises RequestError."""
    front_end = model.manifest.front_end
    first, second = front_end.input_names
    features, lengths = tensors.get(first), tensors.get(second)
    if set(tensors) != {first, second} or not isinstance(features, np.ndarray) or not isinstance(lengths, np.ndarray):
        raise RequestError(f"inputs must be {_AUDIO} (BYTES), or {first} (FP32) and {second} (INT64)")
    if features.dtype != np.float32 or features.ndim < 2 or features.shape[2:] != front_end.shape(1, 1)[2:]:
        raise RequestError(f"{first} must be FP32 of shape (batch, frames, …), see the model's metadata", param=first)
    if not 0 < len(features) <= _MOST_CLIPS:
        raise RequestError(f"{first} must have 1 to {_MOST_CLIPS} clips", param=first)
    # Lengths are in raw frames, of which an input frame has several side by side.
    least, most = (frames * front_end.raw_per_frame for frames in (model.manifest.limits.min_frames, features.shape[1]))
    whole = np.issubdtype(lengths.dtype, np.integer) and lengths.shape == (len(features),)
    if not whole or not ((lengths >= least) & (lengths <= most)).all():
        limits = f"from {least} to {most}"
        raise RequestError(f"{second} must be {len(features)} whole numbers {limits}", param=second)
    if not np.isfinite(features).all():
        raise RequestError(f"{first} holds NaN or infinite values", param=first)
    raw = (len(features), features.shape[1] * front_end.raw_per_frame, *([-1] if features.ndim > 2 else []))
    return features.reshape(raw), [int(length) for length in lengths]


def _padded(frames: list[Frames], level: int, field: str) -> Array:
    """Values of one level, (batch, frames); zeros behind the end of a clip."""
    rows = [getattr(one, field)[level] for one in frames]
    result = np.zeros((len(rows), max(map(len, rows))), rows[0].dtype)
    for target, row in zip(result, rows, strict=True):
        target[: len(row)] = row
    return result


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}
