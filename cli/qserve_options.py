"""Options of ``qserve``."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtimes.options import check_count
from .common import checked, device_options, size_in_bytes
from .load_options import no_cache_option, precision_option, window_option

_SECONDS = click.FloatRange(min=0, min_open=True)

OPTIONS = (
    click.argument("artifacts", nargs=-1, required=True),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0 for every network."),
    click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any free one."),
    click.option(
        "--api-key-file", type=click.Path(path_type=Path, dir_okay=False), help="Keys of clients, one a line."
    ),
    click.option(
        "--cors", "origins", multiple=True, metavar="ORIGIN", help="Web origin that may call; repeat it, or * for all."
    ),
    click.option(
        "--max-upload",
        default="100MB",
        show_default=True,
        callback=size_in_bytes,
        metavar="SIZE",
        help="Largest request.",
    ),
    click.option(
        "--max-recording", type=_SECONDS, default=7200.0, show_default=True, help="Longest recording, in seconds."
    ),
    click.option(
        "--deadline",
        type=_SECONDS,
        default=30.0,
        show_default=True,
        help="Requests that would wait longer, in seconds, are refused at once.",
    ),
    click.option(
        "--max-requests", type=click.IntRange(1), default=256, show_default=True, help="Requests at the same time."
    ),
    click.option(
        "--jobs",
        "jobs_folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for jobs of /v1/jobs, which survive a restart.  [default: no jobs]",
    ),
    click.option(
        "--keep-hours", type=_SECONDS, default=24.0, show_default=True, help="How long finished jobs are kept."
    ),
    *device_options,
    click.option(
        "--threads",
        type=int,
        callback=checked(check_count),
        help="Threads of one model's engine, which its streams share.  [default: all cores]",
    ),
    click.option(
        "--streams",
        type=int,
        default=1,
        show_default=True,
        callback=checked(check_count),
        help="Batches at the same time, for engines that support it (ONNX Runtime, OpenVINO, TensorRT).",
    ),
    click.option(
        "--batch-seconds", type=_SECONDS, default=30.0, show_default=True, help="Audio of one batch, with padding."
    ),
    precision_option,
    window_option,
    click.option(
        "--stall-seconds",
        type=_SECONDS,
        default=60.0,
        show_default=True,
        help="An engine that finishes no batch for so long is replaced.",
    ),
    click.option(
        "--drain-seconds",
        type=_SECONDS,
        default=60.0,
        show_default=True,
        help="After SIGTERM: how long running requests may take.",
    ),
    click.option(
        "--unready-seconds",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        help="After SIGTERM: how long /readyz says no before connections are refused.",
    ),
    click.option("--access-log", is_flag=True, help="Write a line for every request (never its content)."),
    click.option("--no-verify", is_flag=True, help="Do not check the artifacts' hashes."),
    click.option(
        "--trust-code",
        is_flag=True,
        help="Run code in the artifacts (TorchScript, torch programs); it could do anything.",
    ),
    no_cache_option,
)
"""In the order in which help lists them."""
