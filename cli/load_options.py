"""Options of the commands that load artifacts, with the limits and messages of ``load``."""

from __future__ import annotations

import click

from ..audio import WINDOW_SECONDS
from ..runtimes import PRECISIONS
from ..runtimes.options import check_precision, check_window_seconds
from .common import checked

precision_option = click.option(
    "--precision",
    metavar="|".join(PRECISIONS),
    callback=checked(lambda _, value: check_precision(value)),
    help="Precision of float operators, for OpenVINO, hf-gptq and hf-awq.  [default: as exported]",
)
window_option = click.option(
    "--window-seconds",
    type=float,
    default=WINDOW_SECONDS,
    show_default=True,
    callback=checked(lambda _, value: check_window_seconds(value)),
    help="Longer audio is transcribed in windows of this length, from 2 to 60.",
)
no_cache_option = click.option("--no-cache", is_flag=True, help="Keep no compiled model for the next start (OpenVINO).")
