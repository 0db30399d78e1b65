"""Options of the HTTP server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """What clients may send, and who may."""

    max_upload_bytes: int = 100_000_000
    idle_seconds: float = 20.0
    """Longest pause of a client that sends a request."""
    upload_seconds: float = 600.0
    """Longest time of one upload."""
    max_connections: int = 512
    """Requests with a body that are read or answered at the same time."""
    keys: tuple[str, ...] = ()
    """API keys; without any, every client may."""
    origins: tuple[str, ...] = ()
    """Origins of web pages whose scripts may call (CORS); * for all."""
