"""Why a request was not served. Protocols map these errors to their own."""

from __future__ import annotations

from typing import Any

from ..errors import QasrError


class RefusedError(QasrError):
    """A request that was refused before any work, or dropped from the queue.

    ``reason`` is a word for metrics, ``retry_seconds`` when to come back; None where coming back cannot help.
    """

    def __init__(self, message: str, reason: str, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_seconds = retry_seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.reason, self.retry_seconds)


class OverloadedError(RefusedError):
    """More work than can be done before the request's deadline."""


class UnavailableError(RefusedError):
    """The server is loading, draining, or replaces an engine that hung or died."""


class TooLargeError(RefusedError):
    """A request above a limit of this server."""


class UnknownModelError(QasrError, LookupError):
    """A model that this server does not have."""

    def __init__(self, name: str, available: list[str]) -> None:
        super().__init__(f"no model {name!r}; available are {', '.join(available)}")
        self.name = name
        self.available = available

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.available)


class WorkerError(QasrError):
    """A worker process that failed to load its artifact, hung or died."""
