"""Options of ``qinfer``, with the limits and messages of ``load``."""

from __future__ import annotations

from pathlib import Path

import click

from ..audio import WINDOW_SECONDS
from ..runtimes import PRECISIONS
from ..runtimes.ctc.formats import FORMATS
from ..runtimes.options import check_count, check_precision, check_seconds, check_window_seconds
from .common import checked, device_options

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
    click.option(
        "--precision",
        metavar="|".join(PRECISIONS),
        callback=checked(lambda _, value: check_precision(value)),
        help="Precision of float operators, for OpenVINO, hf-gptq and hf-awq.  [default: as exported]",
    ),
    click.option(
        "--batch-seconds",
        type=float,
        default=60.0,
        show_default=True,
        callback=checked(check_seconds),
        help="Audio of one batch, including padding.",
    ),
    click.option(
        "--window-seconds",
        type=float,
        default=WINDOW_SECONDS,
        show_default=True,
        callback=checked(lambda _, value: check_window_seconds(value)),
        help="Longer audio is transcribed in windows of this length, from 2 to 60.",
    ),
    click.option("--no-verify", is_flag=True, help="Do not check the artifact's hashes."),
    click.option(
        "--trust-code",
        is_flag=True,
        help="Run code in the artifact (TorchScript, torch programs); it could do anything.",
    ),
    click.option("--no-cache", is_flag=True, help="Keep no compiled model for the next start (OpenVINO)."),
)
"""In the order in which help lists them."""
