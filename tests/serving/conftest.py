"""An application in this process, whose engine runs in a thread and can be held; and a real server."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from qasr import reference
from qasr.runtimes import load
from qasr.serving.errors import WorkerError
from qasr.serving.http.app import create_app
from qasr.serving.http.errors import describe
from qasr.serving.http.options import HttpOptions
from qasr.serving.jobs.runner import Jobs
from qasr.serving.jobs.store import JobStore
from qasr.serving.metrics import Metrics
from qasr.serving.models import ModelOptions, Models
from qasr.serving.scheduler.options import SchedulerOptions

QSERVE = [sys.executable, "-c", "from qasr.cli.qserve import run; run()"]
KEY = "a-key-of-the-tests"


class LocalWorker:
    """A model of this process. Its groups wait while ``gate`` is closed."""

    def __init__(self, folder: str) -> None:
        self.model = load(folder, threads=1, verify=False)
        self.digest, self.rate = self.model.manifest.digest, 100.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.groups: list[int] = []
        self.dead = asyncio.Event()

    async def infer(self, windows):
        self.groups.append(len(windows))
        waits = [asyncio.create_task(event.wait()) for event in (self.gate, self.dead)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.dead.is_set():
            raise WorkerError("the engine died")
        return await asyncio.to_thread(self.model.infer, windows)

    async def close(self):
        self.dead.set()


@dataclass
class Served:
    """An application that is ready."""

    app: object
    models: Models
    workers: list[LocalWorker]
    client: httpx2.AsyncClient

    @property
    def worker(self) -> LocalWorker:
        return self.workers[-1]

    async def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        headers = {"authorization": f"Bearer {KEY}"}
        text = (await self.client.get("/metrics", headers=headers)).text
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@pytest.fixture
def until():
    """``await until(condition)``: give the loop turns until it holds."""

    async def waiting(condition) -> None:
        while not condition():
            await asyncio.sleep(0.0005)

    return waiting


@pytest.fixture
def serving(toy):
    """``async with serving(…) as served``: the toy as the model ``toy``, with options of the scheduler and of HTTP.

    ``folder`` keeps jobs, by the options ``kept``.
    """

    @asynccontextmanager
    async def opened(
        *, loaded=True, http: HttpOptions | None = None, window_seconds=4.0, folder=None, kept=None, **options
    ):
        workers: list[LocalWorker] = []

        async def start(message, _):
            workers.append(LocalWorker(message.folder))
            return workers[-1]

        metrics = Metrics()
        named = {"toy": ModelOptions(folder=toy.folder, cache=None, window_seconds=window_seconds)}
        models = Models(named, SchedulerOptions(**options), metrics.of, start)
        jobs = None if folder is None else Jobs(JobStore(folder), models, describe, kept)
        app = create_app(models, metrics, http or HttpOptions(), jobs)
        if loaded:
            await models.load()
        if jobs is not None:
            jobs.start()
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://qserve") as client:
            yield Served(app, models, workers, client)
        if jobs is not None:
            await jobs.stop()
        await models.close()

    return opened


@pytest.fixture
def run():
    """Run an async test."""
    return lambda test: asyncio.run(asyncio.wait_for(test, 120))


@pytest.fixture(scope="session")
def server(exported, tmp_path_factory):
    """The address of a real server with the bundled model as ``onnx-int8``, and its artifact."""
    artifact = exported("onnx-int8", "static")
    errors = tmp_path_factory.mktemp("server") / "errors"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [*QSERVE, f"onnx-int8={artifact.folder}", "--port", "0", "--threads", "1"], stderr=log, text=True
        )
    try:
        address = wait_for_address(process, errors)
        yield address, artifact
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def wait_for_address(process, errors) -> str:
    """The address that a starting server prints once it is ready."""
    while process.poll() is None:
        found = re.search(r"qserve: (http://\S+) serves", errors.read_text())
        if found:
            return found[1]
    raise AssertionError(errors.read_text())


@pytest.fixture(scope="session")
def clip():
    return reference.EVALUATION.parent / "000-m3.flac"
