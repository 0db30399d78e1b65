"""Errors as answers: ``{"error": {message, type, param, code}}`` with a status, as OpenAI's clients read them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ...audio import AudioError
from ...errors import QasrError
from ...runtimes import InferenceError, UnknownLevelError
from ..errors import OverloadedError, RefusedError, TooLargeError, UnavailableError, UnknownModelError

log = logging.getLogger(__name__)

_CLIENT_GONE = 499  # nobody reads this answer; it is for the log and the metrics


_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "description": "An object with message, type, param and code; below /v2 the message.",
            "type": ["object", "string"],
        }
    },
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": _ERROR_SCHEMA}}}
    for status, text in (
        (400, "A wrong parameter, or a body that cannot be read"),
        (401, "No valid API key"),
        (404, "No such model or job"),
        (405, "Another method"),
        (408, "The request did not arrive in time"),
        (413, "The upload or the recording is too large"),
        (415, "The body is no form"),
        (422, "The audio cannot be read"),
        (429, "Too much work; see Retry-After"),
        (500, "The model failed, or a bug"),
        (503, "Loading or draining; see Retry-After"),
    )
}
"""All errors, for the description of the interface."""


class RequestError(QasrError):
    """A request that is wrong in itself."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


class ClientGoneError(QasrError):
    """The client closed its connection."""


@dataclass(frozen=True)
class Answer:
    """An error as an answer."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    retry_seconds: int | None = None
    """When to come back; None where a retry cannot help."""

    def body(self) -> dict[str, Any]:
        """The JSON."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self, path: str) -> JSONResponse:
        """The response to a request of ``path``: the Open Inference Protocol has a format of its own."""
        headers = (
            {"x-should-retry": "false"} if self.retry_seconds is None else {"retry-after": str(self.retry_seconds)}
        )
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        body = {"error": self.message} if path.startswith("/v2") else self.body()
        return JSONResponse(body, self.status, headers)


def answer(error: Exception) -> Answer:
    """What a client is told about an error."""
    message = str(error)
    match error:
        case RequestError():
            kind = "authentication_error" if error.status == 401 else "invalid_request_error"
            return Answer(error.status, message, kind, error.param, error.code)
        case UnknownModelError():
            return Answer(404, message, param="model", code="model_not_found")
        case UnknownLevelError():
            return Answer(400, message, param="levels", code="unknown_level")
        case AudioError():
            return Answer(422, message, param="file", code="invalid_audio")
        case TooLargeError():
            return Answer(413, message, param="file", code=error.reason.replace(" ", "_"))
        case OverloadedError():
            return Answer(429, message, "rate_limit_error", code="overloaded", retry_seconds=error.retry_seconds)
        case UnavailableError():
            return Answer(503, message, "server_error", code=error.reason, retry_seconds=error.retry_seconds)
        case ClientGoneError() | ClientDisconnect():
            return Answer(_CLIENT_GONE, "the client closed the connection", code="client_gone")
        case InferenceError():
            log.error("%s", error)  # it may name files of this machine
            return Answer(500, "the model failed on this recording", "server_error", code="inference_failed")
        case HTTPException():
            return Answer(error.status_code, str(error.detail))
        case RequestValidationError():
            first = error.errors()[0]
            return Answer(422, first["msg"], param=".".join(map(str, first["loc"][1:])))
        case _:
            if isinstance(error, QasrError):
                log.error("%s", error)
            return Answer(500, "an unexpected error of the server; its log says more", "server_error")


def reason(error: Exception) -> str:
    """A word for metrics."""
    return error.reason if isinstance(error, RefusedError) else answer(error).code or type(error).__name__


def describe(error: Exception) -> str:
    """The ``error`` of an answer as JSON, for what is kept and told later."""
    return msgspec.json.encode(answer(error).body()["error"]).decode()


def add_handlers(app: FastAPI) -> None:
    """Answer all errors in this format."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        request.app.state.metrics.refused(reason(error))
        return answer(error).response(request.url.path)

    for kind in (QasrError, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, handle)
