"""API keys: read from a file or the environment, compared in constant time, never written anywhere."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import QasrError
from .errors import RequestError, answer

ENVIRONMENT = "QSERVE_API_KEYS"
_OPEN = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs"})
_SHORTEST = 8


def read_keys(file: Path | None, environment: str | None) -> tuple[str, ...]:
    """Keys of a file (one a line, # begins a comment) and of a variable (between commas). Raises QasrError."""
    keys: list[str] = []
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise QasrError(f"{file}: the keys cannot be read ({getattr(error, 'strerror', 'not UTF-8')})") from None
        keys = [key for line in lines if (key := line.partition("#")[0].strip())]
        if not keys:
            raise QasrError(f"{file}: holds no key; write one a line")
    keys += [key.strip() for key in (environment or "").split(",") if key.strip()]
    if any(len(key) < _SHORTEST or not key.isascii() for key in keys):
        raise QasrError(f"an API key is shorter than {_SHORTEST} characters, or not ASCII")
    return tuple(keys)


class Keys:
    """Middleware that lets requests with a key pass (``Authorization: Bearer`` or ``x-api-key``)."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        protected = scope["type"] == "http" and scope["method"] != "OPTIONS" and scope["path"] not in _OPEN
        if self._digests and protected and not self._is_known(_key(scope)):
            scope["app"].state.metrics.refused("key")
            error = RequestError("no valid API key; send Authorization: Bearer KEY", status=401, code="invalid_api_key")
            await answer(error).response(scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, key: bytes) -> bool:
        # Digests have one length, and all are compared, so the time tells nothing about a key.
        digest = _digest(key)
        return bool(sum([hmac.compare_digest(digest, known) for known in self._digests]))


def _key(scope: Scope) -> bytes:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
