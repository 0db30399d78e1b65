"""Limits on what clients send, below every protocol: bytes, pauses, time and concurrent requests."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import OverloadedError, RefusedError, TooLargeError
from .errors import RequestError, answer
from .options import HttpOptions

_RETRY_SECONDS = 1


class Limits:
    """Middleware that refuses a body by its Content-Length, and counts one that states none."""

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._app = app
        self._options = options
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RefusedError as error:
            scope["app"].state.metrics.refused(error.reason)
            await answer(error).response(scope["path"])(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, _Body(receive, self._options).receive, send)
        finally:
            self._running -= 1

    def _check(self, scope: Scope) -> None:
        most = self._options.max_upload_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > most:
                raise _too_large(most)
        if self._running >= self._options.max_connections:
            raise OverloadedError(f"{self._running} requests are open", "connections", _RETRY_SECONDS)


class _Body:
    """The body of one request, as it arrives."""

    def __init__(self, receive: Receive, options: HttpOptions) -> None:
        self._receive = receive
        self._options = options
        self._bytes = 0
        self._complete = False
        self._ends = time.monotonic() + options.upload_seconds

    async def receive(self) -> Message:
        """The next message. Raises TooLargeError, or RequestError for a client that is too slow."""
        if self._complete:
            return await self._receive()
        idle = self._options.idle_seconds
        try:
            message = await asyncio.wait_for(self._receive(), min(idle, self._ends - time.monotonic()))
        except TimeoutError:
            raise RequestError("the request did not arrive in time", status=408, code="slow_client") from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._bytes > self._options.max_upload_bytes:
                raise _too_large(self._options.max_upload_bytes)
        return message


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"the request is larger than {most / 1e6:g} MB", "too large")
