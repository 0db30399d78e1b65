"""Runs jobs one after the other, behind the requests of clients that wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO

from ...errors import QasrError
from ...runtimes import Transcript
from ..errors import OverloadedError, UnavailableError
from ..models import Models
from ..scheduler.model import Progress
from .store import QUEUED, RUNNING, Job, JobStore

_EXPIRE_EVERY_SECONDS = 60.0
_COPIED_BYTES = 1 << 20
_RETRY_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Limits on what is kept."""

    max_jobs: int = 1_000
    """Jobs in the folder, finished ones too."""
    keep_seconds: float = 86_400.0
    """How long a finished job is kept."""
    retry_seconds: float = 1.0
    """Pause before another attempt while the server is overloaded or an engine is replaced."""


class Jobs:
    """The jobs of one server."""

    def __init__(
        self,
        store: JobStore,
        models: Models,
        describe: Callable[[Exception], str],
        options: JobOptions | None = None,
    ) -> None:
        """``describe`` makes of an error what clients are told."""
        self._store = store
        self._describe = describe
        self._models = models
        self._options = options or JobOptions()
        self._arrived = asyncio.Event()
        self._running: tuple[str, asyncio.Task[Transcript]] | None = None
        self._progress: dict[str, Progress] = {}
        self._changed = asyncio.Condition()
        self._changes = 0
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start to run jobs."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._expire())]

    async def stop(self) -> None:
        """Stop; the job that runs will start again with the next server."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._notify()
        await asyncio.to_thread(self._store.close)

    async def submit(self, model: str | None, name: str, audio: BinaryIO) -> Job:
        """Keep a recording as a job. Raises UnknownModelError, UnavailableError, or OverloadedError with too many."""
        self._check()
        served = self._models.get(model)
        if await asyncio.to_thread(self._store.count) >= self._options.max_jobs:
            raise OverloadedError(f"{self._options.max_jobs} jobs are kept; delete some", "jobs", 60)
        job = self._store.add(served.name, name)
        await asyncio.to_thread(self._keep, job, audio)
        self._arrived.set()
        return job

    async def get(self, job: str) -> Job | None:
        """A job; None if there is none. Raises UnavailableError, as all methods do, once the server stops."""
        self._check()
        return await asyncio.to_thread(self._store.get, job)

    async def transcript(self, job: str) -> Transcript | None:
        """The transcript of a job that is done."""
        self._check()
        return await asyncio.to_thread(self._store.transcript, job)

    def progress(self, job: str) -> Progress | None:
        """How far a job is that runs."""
        return self._progress.get(job)

    async def delete(self, job: str) -> bool:
        """Cancel and delete a job; False if there is none."""
        self._check()
        deleted = await asyncio.to_thread(self._store.delete, job)
        if self._running is not None and self._running[0] == job:
            self._running[1].cancel()
        await self._notify()
        return deleted

    async def watch(self, job: str) -> AsyncIterator[Job]:
        """The job now and after every change, until it is finished or deleted, or the server stops."""
        while not self._stopped:
            seen = self._changes
            state = await self.get(job)
            if state is None:
                return
            yield state
            if state.state not in (QUEUED, RUNNING):
                return
            async with self._changed:
                await self._changed.wait_for(lambda: self._changes != seen)  # noqa: B023

    def _check(self) -> None:
        if self._stopped:
            raise UnavailableError("the server is stopping", "draining", _RETRY_SECONDS)

    def _keep(self, job: Job, audio: BinaryIO) -> None:
        with self._store.upload(job.id).open("xb") as file:
            while block := audio.read(_COPIED_BYTES):
                file.write(block)
        self._store.enqueue(job)

    async def _run(self) -> None:
        while True:
            self._arrived.clear()
            job = await asyncio.to_thread(self._store.next)
            if job is None:
                await self._arrived.wait()
                continue
            await self._notify()
            work = asyncio.create_task(self._transcribe(job))
            self._running = (job.id, work)
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                self._store.requeue(job.id)
                raise
            self._running = None
            self._progress.pop(job.id, None)
            if not work.cancelled():  # the job was deleted
                await asyncio.to_thread(self._store.finish, job.id, self._outcome(job, work))
            await self._notify()

    def _outcome(self, job: Job, work: asyncio.Task[Transcript]) -> Transcript | str:
        error = work.exception()
        if error is None:
            return work.result()
        if not isinstance(error, QasrError):
            log.error("job %s failed unexpectedly", job.id, exc_info=error)
        return self._describe(error if isinstance(error, Exception) else QasrError(str(error)))

    async def _transcribe(self, job: Job) -> Transcript:
        def report(progress: Progress) -> None:
            self._progress[job.id] = progress
            notes.add(task := asyncio.create_task(self._notify()))
            task.add_done_callback(notes.discard)

        notes: set[asyncio.Task[None]] = set()
        while True:
            try:
                model = self._models.get(job.model)
                with model.ticket() as ticket:
                    return await model.transcribe(self._store.upload(job.id), job.name, ticket, report)
            except (OverloadedError, UnavailableError):
                await asyncio.sleep(self._options.retry_seconds)

    async def _notify(self) -> None:
        async with self._changed:
            self._changes += 1
            self._changed.notify_all()

    async def _expire(self) -> None:
        while True:
            await asyncio.to_thread(self._store.expire, self._options.keep_seconds)
            await asyncio.sleep(_EXPIRE_EVERY_SECONDS)
