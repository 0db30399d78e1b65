"""Options of ``qexport`` that say how an engine is built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from ..exporters import Target
from .common import together

if TYPE_CHECKING:
    from ..exporters.build import BuildOptions

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)\s*([KMG]?)i?B?", value, re.IGNORECASE)
    if not found:
        raise click.BadParameter(f"{value!r} is no size such as 4GB")
    return int(found[1]) * _UNITS[found[2].upper()]


def _capability(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        if not re.fullmatch(r"\d+\.\d", one):
            raise click.BadParameter(f"{one!r} is no compute capability such as 8.9")
    return value


_OPTIONS = (
    click.option(
        "--flavour",
        type=click.Choice(["tensorrt", "rtx"]),
        help="TensorRT, on the GPU that will run the engine, or TensorRT-RTX, which builds on any machine.  "
        "[default: what is installed and works here]",
    ),
    click.option(
        "--compute-capability",
        "compute_capabilities",
        multiple=True,
        callback=_capability,
        metavar="N.N",
        help="GPU that TensorRT-RTX builds for, as 8.9; repeat for more.  [default: this machine's, or all portable]",
    ),
    click.option(
        "--min-seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Shortest clip.  [default: 0.02]"
    ),
    click.option(
        "--opt-seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Clip to tune for.  [default: 10]"
    ),
    click.option(
        "--max-seconds",
        type=click.FloatRange(0, min_open=True),
        metavar="S",
        help="Longest clip; longer recordings go through in windows.  [default: 30]",
    ),
    click.option("--max-batch", type=click.IntRange(1), metavar="N", help="Clips at a time.  [default: 8]"),
    click.option("--workspace", callback=_bytes, metavar="SIZE", help="Device memory beside the weights, as 4GB."),
    click.option("--onnx-only", is_flag=True, help="Stop at the typed ONNX graph; the manifest says how to build it."),
)

build_options = together(_OPTIONS)
"""Adds them to a command, which gets them as keywords."""

NAMES = (
    "flavour",
    "compute_capabilities",
    "min_seconds",
    "opt_seconds",
    "max_seconds",
    "max_batch",
    "workspace",
    "onnx_only",
)


def build(target: Target, given: dict[str, Any]) -> BuildOptions:
    """What ``given`` (which loses these options) says; click.UsageError for a target that is not compiled."""
    from ..exporters.build import BuildOptions

    chosen = {name: given.pop(name) for name in NAMES}
    said = {name: value for name, value in chosen.items() if value not in (None, False, ())}
    if said and target.compiler is None:
        name = next(iter(said)).replace("_", "-").replace("capabilities", "capability")
        raise click.UsageError(f"--{name} is for targets called tensorrt-… alone")
    if "workspace" in said:
        said["workspace_bytes"] = said.pop("workspace")
    return BuildOptions(**said)
