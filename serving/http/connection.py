"""Work for a client that may leave."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from fastapi import Request

from .errors import ClientGoneError

T = TypeVar("T")


async def until_gone(request: Request, work: asyncio.Task[T]) -> T:
    """The result of ``work``, which is cancelled when the client closes its connection.

    The body of the request must have been read. Raises ClientGoneError, or what ``work`` raises.
    """
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientGoneError("the client closed the connection")
    finally:
        for task in (gone, work):
            task.cancel()
        await asyncio.gather(gone, work, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
