"""A served model: an artifact with its worker, and the requests that are admitted to it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ...artifacts import Artifact
from ...audio import Floats, Window
from ...errors import QasrError
from ...runtimes import Source, Steps, Transcript
from ...runtimes.ctc.decoding import Frames
from ..errors import TooLargeError, UnavailableError
from .admission import Admission, Ticket
from .dispatcher import Dispatcher
from .observer import Observer
from .options import BATCH_DEPENDENT_METHODS, SchedulerOptions
from .queue import Grouping
from .recording import BoundedRecording, WindowReader
from .threads import Threads
from .worker import Worker

_RETRY_SECONDS = 5

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far the transcription of a recording is."""

    seconds: float
    """Audio that is done."""
    text: str
    """The first level's text of what no further window changes."""


class ServedModel:
    """One artifact, ready for requests."""

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        worker: Worker,
        replace: Callable[[], Awaitable[Worker]],
        *,
        steps: Steps,
        options: SchedulerOptions,
        threads: Threads,
        observer: Observer,
    ) -> None:
        """``worker`` has loaded ``artifact``; ``replace`` starts another one."""
        self.name = name
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.levels = list(artifact.manifest.levels)
        self.options = options
        self.loaded_at = time.time()
        self._steps = steps
        self._threads = threads
        self._observer = observer
        self._released = asyncio.Event()
        per_second = self._raw_per_second = _raw_per_second(artifact)
        self._dispatcher = Dispatcher(worker, replace, options, _grouping(artifact, options), per_second, observer)
        self.admission = Admission(options, self._dispatcher.throughput, steps.window_seconds, time.monotonic)

    @property
    def is_ready(self) -> bool:
        """Whether its engine makes progress."""
        return self._dispatcher.is_ready

    @property
    def rate(self) -> float:
        """Seconds of audio per second, as measured lately."""
        return self._dispatcher.throughput.rate

    @property
    def waiting_seconds(self) -> float:
        """Audio of the windows that wait for the engine."""
        return self._dispatcher.queue.frames / self._raw_per_second

    @contextmanager
    def ticket(self, deadline_seconds: float | None = None) -> Iterator[Ticket]:
        """Admission for one request, before its audio is read. Raises OverloadedError or UnavailableError."""
        if not self.is_ready:
            raise self._unavailable()
        ticket = self.admission.reserve(deadline_seconds)
        try:
            yield ticket
        finally:
            self.admission.release(ticket)
            self._released.set()

    async def transcribe(
        self, source: Source, name: str, ticket: Ticket, on_progress: Callable[[Progress], None] | None = None
    ) -> Transcript:
        """The transcript of one recording, which is called ``name``. When cancelled, it stops before the next window.

        Raises AudioError, InferenceError, TooLargeError, OverloadedError or UnavailableError.
        """
        recording = BoundedRecording(source, name, self.options.max_recording_seconds)
        reader = WindowReader(recording, self._steps)
        pending: deque[tuple[Window, asyncio.Future[Frames]]] = deque()
        try:
            seconds = await reader.stated_seconds(self._threads.short)
            self.admission.admit(ticket, seconds)
            executor = self._threads.short if seconds <= self._steps.window_seconds else self._threads.long
            while True:
                with self._dispatcher.expecting():
                    window = await self._next(reader, executor)
                    if window is None:
                        break
                    pending.append((window, self._submit(window, ticket)))
                if window.last:
                    break
                # Between two windows others may pass, so only as many wait as keep all streams busy.
                while len(pending) > self.options.streams:
                    await self._collect(reader, pending, ticket, on_progress)
            while pending:
                await self._collect(reader, pending, ticket, on_progress)
            return await self._timed("decoding", self._threads.decoding, reader.transcription.result)
        finally:
            for _, frames in pending:
                if not frames.cancel() and not frames.cancelled():
                    frames.exception()  # asyncio logs errors that nobody looked at
            reader.close()

    async def infer(self, windows: list[Floats], ticket: Ticket) -> list[Frames]:
        """Frames of windows (frames, …) of the artifact's own inputs, each at most as long as this model's windows.

        Raises InferenceError, TooLargeError, OverloadedError or UnavailableError.
        """
        per_second = self._raw_per_second
        longest = max(map(len, windows)) / per_second
        if longest > self._steps.window_seconds:
            most = self._steps.window_seconds
            raise TooLargeError(f"an input lasts {longest:.1f} s; this model takes {most:g} s at a time", "too long")
        self.admission.admit(ticket, sum(map(len, windows)) / per_second)
        results = [self._dispatcher.submit(window, ticket.deadline, self._late) for window in windows]
        try:
            return await asyncio.gather(*results)
        finally:
            for result in results:
                result.cancel()

    async def retire(self) -> None:
        """Wait until the last request has ended, then close."""
        while self.admission.requests:
            await self.wait_for_release()
        await self.close()

    async def wait_for_release(self) -> None:
        """Wait until a request has ended."""
        self._released.clear()
        await self._released.wait()

    async def close(self) -> None:
        """Stop the engine."""
        await self._dispatcher.close()

    async def _next(self, reader: WindowReader, executor: Executor) -> Window | None:
        started = time.monotonic()
        try:
            return await reader.next(executor)
        finally:
            self._observer.stage("front_end", time.monotonic() - started)

    def _submit(self, window: Window, ticket: Ticket) -> asyncio.Future[Frames]:
        if window.first:
            return self._dispatcher.submit(window.raw, ticket.deadline, self._late)
        # A recording that was begun is finished: its later windows have a turn in the queue, but never expire.
        return self._dispatcher.submit(window.raw, time.monotonic() + self.options.deadline_seconds)

    async def _collect(
        self,
        reader: WindowReader,
        pending: deque[tuple[Window, asyncio.Future[Frames]]],
        ticket: Ticket,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        window, result = pending[0]
        reader.transcription.add(window, await result)
        pending.popleft()
        seconds = len(window.raw) / self._raw_per_second
        self.admission.progress(ticket, seconds)
        if on_progress is not None and not window.last:
            text = await self._timed("decoding", self._threads.decoding, reader.transcription.partial_text)
            on_progress(Progress(window.start / self.manifest.front_end.frames_per_second + seconds, text))

    async def _timed(self, stage: str, executor: Executor, step: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, step)
        finally:
            self._observer.stage(stage, time.monotonic() - started)

    def _late(self) -> QasrError:
        return self.admission.late() if self.is_ready else self._unavailable()

    def _unavailable(self) -> UnavailableError:
        return UnavailableError(f"the engine of {self.name} is being replaced", "engine", _RETRY_SECONDS)


def _raw_per_second(artifact: Artifact) -> float:
    """Raw frames per second of audio, in which the scheduler counts."""
    front_end = artifact.manifest.front_end
    return front_end.frames_per_second * front_end.raw_per_frame


def _grouping(artifact: Artifact, options: SchedulerOptions) -> Grouping:
    manifest = artifact.manifest
    alone = manifest.method in BATCH_DEPENDENT_METHODS
    return Grouping(
        max_frames=round(options.batch_seconds * _raw_per_second(artifact)),
        max_windows=1 if alone else manifest.limits.max_batch,
        max_padding=options.max_padding,
    )
