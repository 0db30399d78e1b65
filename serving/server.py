"""A server from start to end: loads while it already answers probes, drains on SIGTERM, reloads on SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from ..errors import QasrError
from .http.app import create_app
from .http.errors import describe
from .http.options import HttpOptions
from .http.protocol import PatientProtocol
from .jobs.runner import JobOptions, Jobs
from .jobs.store import JobStore
from .metrics import Metrics
from .models import Models

_KEEP_ALIVE_SECONDS = 30
# For answers that are written when all transcriptions are done.
_LAST_ANSWERS_SECONDS = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Where to listen, and how to stop."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any free one."""
    unready_seconds: float = 0.0
    """After SIGTERM: how long ``/readyz`` says no before connections are refused."""
    drain_seconds: float = 60.0
    """After SIGTERM: how long admitted requests may take."""
    access_log: bool = False
    jobs_folder: Path | None = None
    """Where jobs are kept; without it there are none."""
    jobs: JobOptions = field(default_factory=JobOptions)
    http: HttpOptions = field(default_factory=HttpOptions)


class _Server(uvicorn.Server):
    """Stops when it is told to. Signals are the business of ``serve``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Do nothing."""


async def serve(
    models: Models, metrics: Metrics, options: ServerOptions, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve until SIGTERM or SIGINT, which drain. ``ready`` gets the address once all models are loaded.

    Raises what loading raises, and QasrError if the port cannot be used.
    """
    listener = _listener(options.host, options.port)
    jobs = None
    if options.jobs_folder is not None:
        jobs = Jobs(JobStore(options.jobs_folder), models, describe, options.jobs)
    config = uvicorn.Config(
        create_app(models, metrics, options.http, jobs),
        http=PatientProtocol,
        lifespan="off",
        log_config=None,
        access_log=options.access_log,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    server = _Server(config)
    with _signals(models) as stopped:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stopped.wait())
        loading = asyncio.create_task(models.load())
        if jobs is not None:
            jobs.start()
        try:
            await asyncio.wait({serving, stopping, loading}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                ready(_address(listener))
                await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            models.draining = True
            if jobs is not None:
                await jobs.stop()
            await _drain(models, options)
        finally:
            if jobs is not None:
                await jobs.stop()
            loading.cancel()
            server.should_exit = True
            await asyncio.gather(serving, loading, return_exceptions=True)
            stopping.cancel()
            await models.close()


async def _drain(models: Models, options: ServerOptions) -> None:
    await asyncio.sleep(options.unready_seconds)
    try:
        await asyncio.wait_for(models.drain(), options.drain_seconds)
    except TimeoutError:
        log.warning("%d requests were not done after %g s", models.requests, options.drain_seconds)


@contextlib.contextmanager
def _signals(models: Models) -> Iterator[asyncio.Event]:
    """Sets the event on SIGTERM and SIGINT, and reloads artifacts on SIGHUP."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(models.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    handlers = {signal.SIGTERM: stopped.set, signal.SIGINT: stopped.set, signal.SIGHUP: reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stopped
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
        for task in reloads:
            task.cancel()


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number is not None and number > 0 else str(error)
        raise QasrError(f"cannot listen on {host}, port {port} ({reason}); choose another --host or --port") from None


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
