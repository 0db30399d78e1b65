"""A recording of a request: its windows are computed step by step in threads, and end when the request ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

from ...audio import SAMPLE_RATE, AudioError, Floats, Window
from ...runtimes import Recording, Source, Steps

T = TypeVar("T")


class BoundedRecording(Recording):
    """A recording whose header may state too little: it is read up to ``max_seconds``."""

    def __init__(self, source: Source, name: str, max_seconds: float) -> None:
        """``name`` is what messages and transcripts call it. Raises RecordingTypeError."""
        super().__init__(source, 0)
        self.name = name
        self._max_seconds = max_seconds

    def blocks(self) -> Iterator[Floats]:
        """See ``Recording.blocks``. Raises AudioError if it lasts longer."""
        samples = 0
        for block in super().blocks():
            samples += block.size
            if samples > self._max_seconds * SAMPLE_RATE:
                raise AudioError(f"lasts more than {self._max_seconds:g} s, which its header does not state", self.name)
            yield block


class WindowReader:
    """The windows of one recording, each computed in a thread of an executor when it is asked for."""

    def __init__(self, recording: Recording, steps: Steps) -> None:
        """``close`` closes the recording."""
        self.transcription = steps.start(recording)
        self._recording = recording
        self._windows = self.transcription.windows()
        self._running: Future[Any] | None = None

    async def stated_seconds(self, executor: Executor) -> float:
        """Duration that the header states. Raises AudioError."""
        return await self._run(executor, self._recording.stated_seconds)

    async def next(self, executor: Executor) -> Window | None:
        """The next window; None after the last. Raises AudioError."""
        return await self._run(executor, partial(next, self._windows, None))

    def close(self) -> None:
        """Close the recording, once a running step has ended."""
        if self._running is None:
            self._close()
        else:
            self._running.add_done_callback(lambda _: self._close())

    async def _run(self, executor: Executor, step: Callable[[], T]) -> T:
        running = self._running = executor.submit(step)
        return await asyncio.wrap_future(running)

    def _close(self) -> None:
        self._windows.close()
        self._recording.close()
