"""Options of ``qinfer``, with the limits and messages of ``load``."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtimes.ctc.formats import FORMATS
from ..runtimes.options import check_count, check_seconds
from .common import checked, device_options
from .load_options import no_cache_option, precision_option, window_option

OPTIONS = (
    click.argument("audio", nargs=-1, required=True),
    click.option("--artifact", required=True, type=click.Path(path_type=Path), help="Folder that qexport wrote."),
    click.option("--format", "format_", type=click.Choice(list(FORMATS)), default="text", show_default=True),
    click.option(
        "--levels",
        default="",
        metavar="NAMES",
        help="Levels to write: all, or names separated by commas.  [default: the first]",
    ),
    click.option(
        "--output-dir", type=click.Path(path_type=Path, file_okay=False), help="Write one file per recording here."
    ),
    *device_options,
    click.option(
        "--threads",
        type=int,
        callback=checked(check_count),
        help="Threads of one inference.  [default: the engine's choice]",
    ),
    click.option(
        "--streams",
        type=int,
        callback=checked(check_count),
        help="Batches at the same time, for engines that support it (ONNX Runtime, OpenVINO, TensorRT).",
    ),
    precision_option,
    click.option(
        "--batch-seconds",
        type=float,
        default=60.0,
        show_default=True,
        callback=checked(check_seconds),
        help="Audio of one batch, including padding.",
    ),
    window_option,
    click.option("--no-verify", is_flag=True, help="Do not check the artifact's hashes."),
    click.option(
        "--trust-code",
        is_flag=True,
        help="Run code in the artifact (TorchScript, torch programs); it could do anything.",
    ),
    no_cache_option,
)
"""In the order in which help lists them."""
