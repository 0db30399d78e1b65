"""The options of ``qexport`` that decide the format of each layer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import together

if TYPE_CHECKING:
    from ..exporters.asked import Mixing

_UNITS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGK]i?B)", value)
    if not found or found[2] not in _UNITS:
        raise click.BadParameter(f"{value!r} is no size with a unit ({', '.join(_UNITS)}), such as 300MB")
    return round(float(found[1]) * _UNITS[found[2]])


def _plot(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix != ".html":
        raise click.BadParameter(f"{value} is no .html file, the only kind of plot")
    return value


_OPTIONS = (
    click.option(
        "--budget-per",
        "budget_points",
        type=click.FloatRange(0),
        metavar="POINTS",
        help="…-mixed: the smallest artifact that loses at most so many points (hundredths) of the error rate.  "
        "[default: 0.1]",
    ),
    click.option(
        "--budget-size",
        "budget_bytes",
        callback=_size,
        metavar="SIZE",
        help="…-mixed: the most accurate artifact that is not larger, as 300MB.",
    ),
    click.option(
        "--precision-map",
        metavar="YAML",
        help="…-mixed: a file that maps globs of layers to formats, or `typical`: embeddings and LayerNorm float, "
        "attention and feed-forward int8.",
    ),
    click.option(
        "--plot",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=_plot,
        help="With --explain of a …-mixed target: a page with the frontier of size and loss.",
    ),
)

mixing_options = together(_OPTIONS)
"""Adds them to a command, which gets them as keywords."""


def mixing(given: dict[str, Any]) -> Mixing:
    """What ``given`` (which loses these options) says, but for the plot."""
    from ..exporters.asked import Mixing

    return Mixing(**{name: given.pop(name) for name in ("budget_points", "budget_bytes", "precision_map")})
