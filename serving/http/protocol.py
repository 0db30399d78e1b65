"""uvicorn's HTTP protocol, which closes connections that send no complete request head in time."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_SECONDS = 20.0


class PatientProtocol(HttpToolsProtocol):
    """A connection. Bodies are timed by ``Limits``; uvicorn times idle connections after their first answer."""

    head_seconds = _HEAD_SECONDS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A complete head."""
        self._disarm()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
