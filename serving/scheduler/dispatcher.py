"""Hands groups of windows to the worker when it has a free stream, and replaces a worker that hangs or dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ...audio import Floats
from ...errors import QasrError
from ...runtimes import InferenceError
from ...runtimes.ctc.decoding import Frames
from ..errors import UnavailableError, WorkerError
from .observer import GroupReport, Observer
from .options import SchedulerOptions
from .queue import Grouping, WaitingWindow, WindowQueue
from .throughput import Throughput
from .worker import Worker

_LONGEST_PAUSE_SECONDS = 30.0
_RETRY_SECONDS = 5

log = logging.getLogger(__name__)


class Dispatcher:
    """The queue of one model, and its worker."""

    def __init__(
        self,
        worker: Worker,
        replace: Callable[[], Awaitable[Worker]],
        options: SchedulerOptions,
        grouping: Grouping,
        frames_per_second: float,
        observer: Observer,
    ) -> None:
        """``replace`` starts another worker. Lengths are in input frames, ``frames_per_second`` of audio."""
        self.throughput = Throughput(worker.rate)
        self.queue = WindowQueue(grouping)
        self._worker: Worker | None = worker
        self._replace = replace
        self._options = options
        self._frames_per_second = frames_per_second
        self._observer = observer
        self._running: set[asyncio.Task[None]] = set()
        self._expected = 0
        self._timer: asyncio.TimerHandle | None = None
        self._replacing: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a worker that makes progress."""
        return self._worker is not None

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """A block in which a front end delivers a window soon: an idle engine waits for it a little."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            if self._expected == 0:
                self._dispatch()

    def submit(
        self, inputs: Floats, deadline: float, late: Callable[[], QasrError] | None = None
    ) -> asyncio.Future[Frames]:
        """The future frames of one window. The queue is ordered by ``deadline``, on the monotonic clock.

        With ``late``, a window that still waits at its deadline gets that error. Cancelling the future removes it.
        The result may be InferenceError, or UnavailableError if the worker is lost.
        """
        loop = asyncio.get_running_loop()
        window = WaitingWindow(inputs, deadline, time.monotonic(), loop.create_future())
        if late is not None:
            timer = loop.call_later(max(0.0, deadline - time.monotonic()), self._expire, window, late)
            window.result.add_done_callback(lambda _: timer.cancel())
        window.result.add_done_callback(lambda _: self.queue.remove(window))
        self.queue.add(window)
        self._dispatch()
        return window.result

    async def close(self) -> None:
        """Stop the worker."""
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
        await asyncio.gather(*self._running, return_exceptions=True)
        for window in self.queue.clear():
            _fail(window, UnavailableError("the model was unloaded", "unloaded", _RETRY_SECONDS))

    def _dispatch(self, *, gathered: bool = False) -> None:
        while self._worker is not None and len(self._running) < self._options.streams and len(self.queue):
            if self._expected and not gathered and not self.queue.is_full_group():
                self._gather()
                return
            gathered = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            task = asyncio.create_task(self._run(self._worker, self.queue.take()))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _expire(self, window: WaitingWindow, late: Callable[[], QasrError]) -> None:
        if self.queue.remove(window):
            _fail(window, late())

    def _gather(self) -> None:
        """Wait a little for windows that front ends are about to deliver."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._options.gather_seconds, self._gathered)

    def _gathered(self) -> None:
        self._timer = None
        self._dispatch(gathered=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a group failed unexpectedly: %r", error)
        self._dispatch()

    async def _run(self, worker: Worker, group: list[WaitingWindow]) -> None:
        lengths = [window.frames / self._frames_per_second for window in group]
        started = time.monotonic()
        for window in group:
            self._observer.stage("queue", started - window.queued)
        self.throughput.begin(started)
        done = 0.0
        try:
            async with asyncio.timeout(self._options.stall_seconds):
                frames = await worker.infer([window.inputs for window in group])
            done = sum(lengths)
            for window, result in zip(group, frames, strict=True):
                if not window.result.done():
                    window.result.set_result(result)
            elapsed = time.monotonic() - started
            self._observer.group(
                GroupReport(
                    windows=len(group),
                    audio_seconds=done,
                    padded_seconds=max(lengths) * len(group),
                    engine_seconds=elapsed,
                )
            )
        except InferenceError as error:
            self._retry_alone(group, error)
        except (TimeoutError, WorkerError) as error:
            for window in group:
                _fail(window, UnavailableError("the engine was lost; it is being replaced", "engine", _RETRY_SECONDS))
            self._lose(worker, error)
        except BaseException:
            for window in group:
                window.result.cancel()
            raise
        finally:
            self.throughput.end(time.monotonic(), done)

    def _retry_alone(self, group: list[WaitingWindow], error: InferenceError) -> None:
        """The windows that did not cause the error get their frames."""
        if len(group) == 1:
            _fail(group[0], error)
            return
        for window in group:
            if not window.result.done():
                window.alone = True
                self.queue.add(window)

    def _lose(self, worker: Worker, error: TimeoutError | WorkerError) -> None:
        if self._worker is not worker:
            return  # another of its streams has reported it
        self._worker = None
        hangs = isinstance(error, TimeoutError)
        self._observer.lost("hang" if hangs else "death")
        log.error("%s; starting another", f"no progress for {self._options.stall_seconds:g} s" if hangs else error)
        self._replacing = asyncio.create_task(self._start_another(worker))

    async def _start_another(self, lost: Worker) -> None:
        await lost.close()
        pause = 1.0
        while True:
            try:
                self._worker = await self._replace()
            except QasrError as error:
                log.error("no other engine: %s; next attempt in %g s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            log.warning("the engine was replaced")
            self._dispatch()
            return


def _fail(window: WaitingWindow, error: QasrError) -> None:
    if not window.result.done():
        window.result.set_exception(error)
