"""Dispatch, cancellation, failures and replacement, with a worker that the test controls."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from qasr.errors import QasrError
from qasr.runtimes import InferenceError
from qasr.serving.errors import OverloadedError, UnavailableError, WorkerError
from qasr.serving.scheduler.dispatcher import Dispatcher
from qasr.serving.scheduler.observer import Silent
from qasr.serving.scheduler.options import SchedulerOptions
from qasr.serving.scheduler.queue import Grouping

_spec = importlib.util.spec_from_file_location("serving_toys", Path(__file__).parents[1] / "toys.py")
toys = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toys)
ToyWorker, until = toys.ToyWorker, toys.until


class Reports(Silent):
    def __init__(self):
        self.groups, self.losses = [], []

    def group(self, report):
        self.groups.append((report.windows, report.audio_seconds, report.padded_seconds))

    def lost(self, reason):
        self.losses.append(reason)


class Setup:
    """A dispatcher with a toy worker, and what replaces it."""

    def __init__(self, replacements=(), **options):
        self.worker = ToyWorker()
        self.reports = Reports()
        self.replacements = list(replacements)
        grouping = Grouping(max_frames=1_000, max_windows=None, max_padding=0.15)
        self.dispatcher = Dispatcher(
            self.worker, self._replace, SchedulerOptions(**options), grouping, 50.0, self.reports
        )

    async def _replace(self):
        worker = self.replacements.pop(0)
        if isinstance(worker, Exception):
            raise worker
        return worker

    def infer(self, frames, deadline=None, late=None):
        deadline = time.monotonic() + 1_000 if deadline is None else deadline
        return self.dispatcher.submit(np.zeros((frames, 2), np.float32), deadline, late)


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_lone_window_goes_at_once():
    async def test():
        setup = Setup()
        assert len(await setup.infer(100)) == 100
        assert setup.worker.groups == [[100]]
        assert setup.reports.groups == [(1, 2.0, 2.0)]

    run(test)


def test_what_waits_for_a_busy_engine_becomes_groups():
    async def test():
        setup = Setup()
        setup.worker.gate.clear()
        first = setup.infer(500)
        await until(lambda: setup.worker.groups)
        others = [setup.infer(frames) for frames in (100, 400, 96)]
        await asyncio.sleep(0)
        assert setup.worker.groups == [[500]]
        setup.worker.gate.set()
        assert [len(frames) for frames in await asyncio.gather(first, *others)] == [500, 100, 400, 96]
        assert setup.worker.groups == [[500], [100, 96], [400]]
        assert setup.reports.groups[1] == (2, 3.92, 4.0)

    run(test)


def test_streams_run_side_by_side():
    async def test():
        setup = Setup(streams=2)
        setup.worker.gate.clear()
        tasks = [setup.infer(100 * number) for number in (1, 3, 5)]
        await until(lambda: len(setup.worker.groups) == 2)
        await asyncio.sleep(0)
        assert setup.worker.groups == [[100], [300]]
        setup.worker.gate.set()
        await asyncio.gather(*tasks)

    run(test)


def test_an_idle_engine_waits_for_expected_windows():
    async def test():
        setup = Setup(gather_seconds=1_000.0)
        with setup.dispatcher.expecting():
            first = setup.infer(100)
            await asyncio.sleep(0)
            assert setup.worker.groups == []
            second = setup.infer(100)
        await asyncio.gather(first, second)
        assert setup.worker.groups == [[100, 100]]

    run(test)


def test_it_does_not_wait_for_ever():
    async def test():
        setup = Setup(gather_seconds=0.0)
        with setup.dispatcher.expecting():
            assert len(await setup.infer(100)) == 100

    run(test)


def test_a_client_that_left_costs_nothing_more():
    async def test():
        setup = Setup()
        setup.worker.gate.clear()
        first = setup.infer(100)
        await until(lambda: setup.worker.groups)
        left, stays = setup.infer(300), setup.infer(500)
        await asyncio.sleep(0)
        left.cancel()
        first.cancel()  # its window is in the engine, which ends it for nobody
        with suppress(asyncio.CancelledError):
            await left
        setup.worker.gate.set()
        assert len(await stays) == 500
        assert setup.worker.groups == [[100], [500]]

    run(test)


def test_a_deadline_counts_in_the_queue_only():
    async def test():
        setup = Setup()
        setup.worker.gate.clear()
        late = OverloadedError("late", "deadline", 1)
        running = setup.infer(100, time.monotonic(), lambda: late)
        await until(lambda: setup.worker.groups)
        waiting = setup.infer(100, time.monotonic(), lambda: late)
        with pytest.raises(OverloadedError):
            await waiting
        setup.worker.gate.set()
        assert len(await running) == 100
        assert setup.worker.groups == [[100]]

    run(test)


def test_a_window_that_the_engine_fails_on_does_not_take_its_group_with_it():
    async def test():
        setup = Setup()
        setup.worker.longest = 100
        setup.worker.gate.clear()
        blocker = setup.infer(50)
        await until(lambda: setup.worker.groups)
        tasks = [setup.infer(frames) for frames in (100, 101, 99)]
        await asyncio.sleep(0)
        setup.worker.gate.set()
        done = await asyncio.gather(blocker, *tasks, return_exceptions=True)
        assert [len(one) for one in (done[1], done[3])] == [100, 99]
        assert isinstance(done[2], InferenceError)
        assert setup.worker.groups == [[50], [100, 101, 99], [100], [101], [99]]

    run(test)


def test_an_engine_that_dies_is_replaced_and_the_queue_survives():
    async def test():
        gate = asyncio.Event()
        other = ToyWorker()
        setup = Setup([WorkerError("no"), other], gather_seconds=0.0)

        async def replace(inner=setup.dispatcher._replace):
            await gate.wait()
            return await inner()

        setup.dispatcher._replace = replace
        setup.worker.gate.clear()
        running = setup.infer(100)
        await until(lambda: setup.worker.groups)
        waiting = setup.infer(300)
        await asyncio.sleep(0)
        setup.worker.die()
        with pytest.raises(UnavailableError) as lost:
            await running
        assert (lost.value.reason, lost.value.retry_seconds) == ("engine", 5)
        assert not setup.dispatcher.is_ready
        await until(lambda: setup.worker.closed)
        gate.set()
        assert len(await waiting) == 300
        assert setup.dispatcher.is_ready
        assert (other.groups, setup.reports.losses) == ([[300]], ["death"])

    run(test)


def test_an_engine_that_hangs_is_seen():
    async def test():
        other = ToyWorker()
        setup = Setup([other], stall_seconds=0.05, streams=2)
        setup.worker.gate.clear()
        tasks = [setup.infer(100), setup.infer(300)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in done] == [UnavailableError, UnavailableError]
        await until(lambda: setup.dispatcher.is_ready)
        assert (setup.worker.closed, setup.reports.losses) == (True, ["hang"])
        assert len(await setup.infer(100)) == 100

    run(test)


def test_closing_fails_what_waits():
    async def test():
        setup = Setup()
        setup.worker.gate.clear()
        tasks = [setup.infer(100), setup.infer(300)]
        await until(lambda: setup.worker.groups)
        await setup.dispatcher.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, QasrError) for one in done)
        assert setup.worker.closed

    run(test)
