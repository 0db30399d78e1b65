"""The application: every protocol, and what stands before them."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from ...version import __version__
from ..jobs.runner import Jobs
from ..metrics import Metrics
from ..models import Models
from . import health, jobs, openai_models, openai_transcription, predict, v2
from .errors import DOCUMENTED, add_handlers
from .keys import Keys
from .limits import Limits
from .measuring import Measuring
from .options import HttpOptions

_EXPOSED = ["retry-after", "x-should-retry", "x-qasr-ignored"]


def create_app(models: Models, metrics: Metrics, options: HttpOptions, kept: Jobs | None = None) -> FastAPI:
    """The application for ``models``, which may still be loading; with ``kept``, also for jobs."""
    app = FastAPI(title="qserve", version=__version__, redoc_url=None)
    app.state.models = models
    app.state.metrics = metrics
    metrics.watch(lambda: models.loaded)
    for module in (health, openai_models, openai_transcription, predict, v2):
        app.include_router(module.router, responses=DOCUMENTED)
    if kept is not None:
        app.state.jobs = kept
        app.include_router(jobs.router, responses=DOCUMENTED)
    add_handlers(app)
    # The last one added is the first to see a request.
    app.add_middleware(Limits, options=options)
    app.add_middleware(Keys, keys=options.keys)
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "x-api-key", "content-type"],
            expose_headers=_EXPOSED,
        )
    app.add_middleware(Measuring, metrics=metrics)
    return app
