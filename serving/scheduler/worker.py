"""A worker process from the server's side. An engine that hangs or dies takes this process, never the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Protocol

import msgspec

from ...audio import Floats
from ...runtimes import InferenceError
from ...runtimes.ctc.decoding import Frames
from ..errors import WorkerError
from .channel import LENGTH, Done, Failed, Load, Message, Ready, decode, encode, frames_of, group_message

# -P keeps the current folder off sys.path, where a folder of it could shadow an installed package.
COMMAND = (sys.executable, "-P", "-m", "qasr.serving.scheduler.worker_process")


class Worker(Protocol):
    """A loaded engine."""

    digest: str
    """Of the artifact's manifest."""
    rate: float
    """Seconds of audio per second, a first measurement."""

    async def infer(self, windows: list[Floats]) -> list[Frames]:
        """Frames of a group of windows. Raises InferenceError, or WorkerError once the worker is lost."""

    async def close(self) -> None:
        """Stop it at once."""


class ProcessWorker:
    """A worker in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, ready: Ready) -> None:
        """``process`` has sent ``ready``."""
        self.digest = ready.digest
        self.rate = ready.rate
        self.pid = process.pid
        self._process = process
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[list[Frames]]] = {}
        self._lost: WorkerError | None = None
        self._reader = asyncio.create_task(self._read())

    async def infer(self, windows: list[Floats]) -> list[Frames]:
        """Frames of a group; see ``Worker.infer``."""
        if self._lost is not None:
            raise self._lost
        assert self._process.stdin is not None
        number = next(self._numbers)
        result: asyncio.Future[list[Frames]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = result
        try:
            self._process.stdin.write(encode(group_message(number, windows)))
            return await result
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """Kill the process, and wait for its end."""
        await _kill(self._process)
        await self._reader

    async def _read(self) -> None:
        reason = "sent a message that cannot be decoded"
        with suppress(msgspec.DecodeError):
            while (message := await _next(self._process)) is not None:
                if isinstance(message, Done):
                    self._settle(message.id, frames_of(message))
                elif isinstance(message, Failed) and message.id is not None:
                    self._settle(message.id, InferenceError(message.message))
            reason = await _exit_reason(self._process)
        self._lost = WorkerError(f"the engine {reason}")
        for result in self._waiting.values():
            if not result.done():
                result.set_exception(self._lost)

    def _settle(self, number: int, outcome: list[Frames] | InferenceError) -> None:
        result = self._waiting.get(number)
        if result is None or result.done():
            return
        if isinstance(outcome, InferenceError):
            result.set_exception(outcome)
        else:
            result.set_result(outcome)


async def start(load: Load, timeout_seconds: float, command: Sequence[str] = COMMAND) -> ProcessWorker:
    """Start a process, which verifies, loads and warms the artifact. Raises WorkerError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Idle threads must not keep cores busy that front ends need.
        env={"OMP_WAIT_POLICY": "passive", **os.environ},
        # Ctrl-C in a terminal reaches the whole process group; the server drains first.
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(encode(load))
        answer = await asyncio.wait_for(_next(process), timeout_seconds)
        if isinstance(answer, Failed):
            raise WorkerError(answer.message)
        if not isinstance(answer, Ready):
            raise WorkerError(f"{load.folder}: the engine {await _exit_reason(process)} while it was loaded")
        return ProcessWorker(process, answer)
    except msgspec.DecodeError:
        await _kill(process)
        raise WorkerError(f"{load.folder}: the engine sent a message that cannot be decoded") from None
    except TimeoutError:
        await _kill(process)
        raise WorkerError(f"{load.folder}: was not ready after {timeout_seconds:g} s") from None
    except BaseException:
        await _kill(process)
        raise


async def _next(process: asyncio.subprocess.Process) -> Message | None:
    assert process.stdout is not None
    try:
        (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return decode(await process.stdout.readexactly(size))
    except asyncio.IncompleteReadError:
        return None


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _exit_reason(process: asyncio.subprocess.Process) -> str:
    code = await process.wait()
    return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
