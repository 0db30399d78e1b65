"""A worker that the tests control."""

from __future__ import annotations

import asyncio

import numpy as np

from qasr.runtimes import InferenceError
from qasr.runtimes.ctc.decoding import Frames
from qasr.serving.errors import WorkerError


class ToyWorker:
    """Its groups wait until ``gate`` is open. Frames carry the length of their window."""

    def __init__(self, digest="", rate=100.0):
        self.digest, self.rate = digest, rate
        self.gate = asyncio.Event()
        self.gate.set()
        self.groups: list[list[int]] = []
        self.longest = 10**9
        self.closed = False
        self._died = asyncio.Event()

    async def infer(self, windows):
        self.groups.append([len(one) for one in windows])
        gate, died = asyncio.create_task(self.gate.wait()), asyncio.create_task(self._died.wait())
        try:
            await asyncio.wait({gate, died}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gate.cancel()
            died.cancel()
        if self._died.is_set():
            raise WorkerError("the engine died")
        if any(len(one) > self.longest for one in windows):
            raise InferenceError("too long for this engine")
        return [
            Frames(
                np.zeros((1, len(one)), np.int32), np.ones((1, len(one)), np.float32), np.zeros(len(one), np.float32)
            )
            for one in windows
        ]

    def die(self):
        self._died.set()

    async def close(self):
        self.closed = True
        self._died.set()


async def until(condition):
    """Give the loop turns until ``condition`` holds."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("never happened")
