"""The models of a server: loading, exchange while requests run, and the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..artifacts import read
from ..audio import WINDOW_SECONDS
from ..errors import QasrError
from ..runtimes import CACHE, Steps, find_transform
from .errors import RefusedError, UnavailableError, UnknownModelError, WorkerError
from .scheduler.channel import Load
from .scheduler.model import ServedModel
from .scheduler.observer import Observer
from .scheduler.options import SchedulerOptions
from .scheduler.threads import Threads
from .scheduler.worker import Worker, start

_RETRY_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How one artifact is loaded; see ``runtimes.load``."""

    folder: Path
    device: str = "cpu"
    features: str = "cpu"
    threads: int | None = None
    precision: str | None = None
    cache: Path | None = CACHE
    verify: bool = True
    trust_code: bool = False
    window_seconds: float = WINDOW_SECONDS


StartWorker = Callable[[Load, float], Awaitable[Worker]]


class Models:
    """Served models by name. All methods run in one event loop."""

    def __init__(
        self,
        models: Mapping[str, ModelOptions],
        scheduler: SchedulerOptions,
        observe: Callable[[str], Observer],
        start_worker: StartWorker = start,
    ) -> None:
        """The first of ``models`` answers requests that name none. ``observe`` makes the observer of a model."""
        self._options = dict(models)
        self._scheduler = scheduler
        self._observe = observe
        self._start_worker = start_worker
        self._threads = Threads()
        self._served: dict[str, ServedModel] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._swapping: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in models}
        self.draining = False

    @property
    def names(self) -> list[str]:
        """Names of all models, loaded or not."""
        return list(self._options)

    @property
    def loaded(self) -> list[ServedModel]:
        """The models that are loaded."""
        return list(self._served.values())

    @property
    def requests(self) -> int:
        """Admitted requests of all models."""
        return sum(model.admission.requests for model in self._served.values())

    def not_ready(self) -> str | None:
        """Why this server should get no requests now; None if it should."""
        if self.draining:
            return "draining"
        for name in self._options:
            model = self._served.get(name)
            if model is None:
                return f"{name} is loading"
            if not model.is_ready:
                return f"the engine of {name} is being replaced"
        return None

    def check_load(self) -> None:
        """Raise OverloadedError or UnavailableError if any request would be refused now, whatever it asks for."""
        refusals: list[RefusedError] = []
        for name in self._options:
            try:
                with self.get(name).ticket():
                    return
            except RefusedError as error:
                refusals.append(error)
        raise refusals[0]

    def get(self, name: str | None) -> ServedModel:
        """A model by name; the first without a name. Raises UnknownModelError, or UnavailableError while it loads."""
        if name is None:
            name = next(iter(self._options))
        if name not in self._options:
            raise UnknownModelError(name, self.names)
        if self.draining:
            raise UnavailableError("the server is stopping", "draining", _RETRY_SECONDS)
        if name not in self._served:
            raise UnavailableError(f"{name} is loading", "loading", _RETRY_SECONDS)
        return self._served[name]

    async def load(self) -> None:
        """Load all models, one after the other. Raises the first error."""
        for name in self._options:
            await self.swap(name)

    async def swap(self, name: str) -> ServedModel:
        """Load a model's artifact again, beside the loaded one, and exchange them; see ``_open`` for errors.

        The old one is closed when its last request has ended. After an error it stays.
        """
        if name not in self._options:
            raise UnknownModelError(name, self.names)
        async with self._swapping[name]:
            model = await self._open(name)
            old, self._served[name] = self._served.get(name), model
        log.info("%s: loaded %s", name, model.manifest.digest[:12])
        if old is not None:
            self._retire(old)
        return model

    async def refresh(self, name: str) -> None:
        """``swap`` a model whose artifact has changed."""
        if name not in self._options:
            raise UnknownModelError(name, self.names)
        artifact = await asyncio.to_thread(read, self._options[name].folder, verify=False)
        served = self._served.get(name)
        if served is None or served.manifest.digest != artifact.manifest.digest:
            await self.swap(name)

    async def reload(self) -> None:
        """``refresh`` all models. Errors are logged, and the old model stays."""
        for name in self._options:
            try:
                await self.refresh(name)
            except QasrError as error:
                log.error("%s: not reloaded: %s", name, error)

    async def drain(self) -> None:
        """Refuse new requests, and wait until the admitted ones have ended."""
        self.draining = True
        while self.requests:
            await next(model for model in self.loaded if model.admission.requests).wait_for_release()
        await asyncio.gather(*self._retiring)

    async def close(self) -> None:
        """Stop all engines."""
        self.draining = True
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        served, self._served = self._served, {}
        for model in served.values():
            await model.close()
        await asyncio.to_thread(self._threads.close)

    async def _open(self, name: str) -> ServedModel:
        """A loaded model. Raises ArtifactError, RuntimeLoadError, MissingExtraError or WorkerError."""
        options = self._options[name]
        artifact = await asyncio.to_thread(read, options.folder, verify=False)  # the worker checks the hashes
        front_end = artifact.manifest.front_end
        transform = await asyncio.to_thread(find_transform, options.features, front_end)
        steps = Steps(artifact.manifest, options.window_seconds, transform=transform)
        message = Load(
            folder=str(options.folder.absolute()),
            device=options.device,
            threads=options.threads,
            streams=None if self._scheduler.streams == 1 else self._scheduler.streams,
            precision=options.precision,
            cache=None if options.cache is None else str(options.cache),
            verify=options.verify,
            trust_code=options.trust_code,
        )

        async def start_worker() -> Worker:
            worker = await self._start_worker(message, self._scheduler.load_seconds)
            if worker.digest != artifact.manifest.digest:
                await worker.close()
                raise WorkerError(f"{options.folder}: changed while it was loaded")
            return worker

        worker = await start_worker()
        return ServedModel(
            name,
            artifact,
            worker,
            start_worker,
            steps=steps,
            options=self._scheduler,
            threads=self._threads,
            observer=self._observe(name),
        )

    def _retire(self, model: ServedModel) -> None:
        task = asyncio.create_task(model.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
