"""``qserve``: an HTTP server for artifacts."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..errors import MissingExtraError
from ..runtimes import CACHE, available_cores
from ..version import __version__, installed
from .common import OK, main, together, verbosity
from .qserve_options import OPTIONS

EPILOG = """\b
Examples:
  qserve out/
  qserve muaalem=out/a english=out/b --host 0.0.0.0 --api-key-file keys --max-upload 100MB
  curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@audio.wav -F model=out

\b
A model has the name of its folder, or the one before =. The first answers /predict.
API keys are also read from the variable QSERVE_API_KEYS, between commas.
SIGTERM ends the running requests first. SIGHUP loads artifacts that have changed.
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LIBRARIES = ("fastapi", "uvicorn", "httptools", "python_multipart", "prometheus_client")


@click.command(
    "qserve", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@together(OPTIONS)
@verbosity
@click.version_option(__version__, prog_name="qserve")
def command(artifacts: tuple[str, ...], console: Console, **options: Any) -> int:
    """Serve ARTIFACTS: folders that qexport wrote, or NAME=FOLDER."""
    folders = named_folders(artifacts)
    if options["threads"] is not None and options["streams"] > options["threads"]:
        raise click.UsageError(f"--streams {options['streams']} need as many --threads, not {options['threads']}")
    for library in _LIBRARIES:
        if not installed(library):
            raise MissingExtraError(library, "serve")
    from ..serving.server import serve

    logging.basicConfig(stream=sys.stderr, format="qserve: %(message)s", level=logging.WARNING)
    logging.getLogger("qasr").setLevel(logging.ERROR if console.quiet else logging.INFO)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    models, metrics, server = _configured(folders, options)

    def ready(address: str) -> None:
        console.print(f"qserve: {address} serves {', '.join(folders)}")

    asyncio.run(serve(models, metrics, server, ready))
    return OK


def named_folders(artifacts: Sequence[str]) -> dict[str, Path]:
    """Folders by the names of their models. Raises click.UsageError."""
    folders: dict[str, Path] = {}
    for argument in artifacts:
        name, equals, folder = argument.rpartition("=")
        if not equals:
            name, folder = Path(argument).resolve().name, argument
        if not _NAME.fullmatch(name):
            raise click.UsageError(f"{argument}: {name!r} is no name for a model; write NAME={folder or 'FOLDER'}")
        if name in folders:
            raise click.UsageError(f"two models are called {name}; write NAME=FOLDER")
        folders[name] = Path(folder)
    return folders


def _configured(folders: dict[str, Path], options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The models, metrics and options of a server."""
    from ..serving.http.keys import ENVIRONMENT, read_keys
    from ..serving.http.options import HttpOptions
    from ..serving.jobs.runner import JobOptions
    from ..serving.metrics import Metrics
    from ..serving.models import ModelOptions, Models
    from ..serving.scheduler.options import SchedulerOptions
    from ..serving.server import ServerOptions

    threads = options["threads"]
    if threads is None and options["device"] == "cpu":
        threads = max(available_cores(), options["streams"])
    metrics = Metrics()
    models = Models(
        {
            name: ModelOptions(
                folder=folder,
                device=options["device"],
                features=options["features"],
                threads=threads,
                precision=options["precision"],
                cache=None if options["no_cache"] else CACHE,
                verify=not options["no_verify"],
                trust_code=options["trust_code"],
                window_seconds=options["window_seconds"],
            )
            for name, folder in folders.items()
        },
        SchedulerOptions(
            streams=options["streams"],
            deadline_seconds=options["deadline"],
            max_requests=options["max_requests"],
            max_recording_seconds=options["max_recording"],
            batch_seconds=options["batch_seconds"],
            stall_seconds=options["stall_seconds"],
        ),
        metrics.of,
    )
    http = HttpOptions(
        max_upload_bytes=options["max_upload"],
        keys=read_keys(options["api_key_file"], os.environ.get(ENVIRONMENT)),
        origins=options["origins"],
    )
    server = ServerOptions(
        host=options["host"],
        port=options["port"],
        unready_seconds=options["unready_seconds"],
        drain_seconds=options["drain_seconds"],
        access_log=options["access_log"],
        jobs_folder=options["jobs_folder"],
        jobs=JobOptions(keep_seconds=3600 * options["keep_hours"]),
        http=http,
    )
    return models, metrics, server


def run() -> None:
    """Entry point of ``qserve``."""
    main(command, interrupted="interrupted")
