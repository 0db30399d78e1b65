"""The options of ``qexport``, in groups, and the request that they make up."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ..exporters import CalibrationRequest, MixingRequest, QuantizationRequest, Request, VerificationRequest
from ..exporters.tensorrt.options import TensorRTOptions
from ..quantizers import OBSERVERS
from .common import group_size_option, size_in_bytes, together


def _capability(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        if not re.fullmatch(r"\d+\.\d", one):
            raise click.BadParameter(f"{one!r} is no compute capability such as 8.9")
    return value


def _plot(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix != ".html":
        raise click.BadParameter(f"{value} is no .html file, the only kind of plot")
    return value


_AUDIO = (
    click.option(
        "--calibration",
        type=click.Path(path_type=Path),
        help="Audio that fixes the activation ranges: JSON lines with an 'audio' column, or a folder.",
    ),
    click.option("--calibration-clips", type=click.IntRange(1), help="How many to use.  [default: 64]"),
    click.option(
        "--verification",
        type=click.Path(path_type=Path),
        help="Audio for the parity check: JSON lines or a folder.  [default: the bundled evaluation set]",
    ),
)
_QUANTIZATION = (
    click.option(
        "--observer",
        type=click.Choice(list(OBSERVERS)),
        help="How ranges of activations are fixed.  [default: minmax]",
    ),
    click.option(
        "--percentile",
        type=click.FloatRange(50, 100, min_open=True),
        help="Of --observer percentile.  [default: 99.99]",
    ),
    click.option(
        "--strength",
        type=click.FloatRange(0, 1),
        help="How much smoothquant moves from activations into weights.  [default: searched for each layer]",
    ),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Layers left in float, beside the first and last."),
    group_size_option("Overrides the group size of targets of 4 and 2 bits.  [default: 64]"),
    click.option(
        "--symmetric/--asymmetric",
        default=None,
        help="Without or with zero points, for weights of 4 and 2 bits.  [default: with, where the target has them]",
    ),
    click.option(
        "--bits-budget",
        type=click.FloatRange(2, 4),
        help="Mean bits per weight: the layers of a 2-bit target that lose most get 4 bits.",
    ),
    click.option("--damping", type=click.FloatRange(0, 1, min_open=True), help="Of gptq's Hessians.  [default: 0.01]"),
    click.option("--no-activation-order", is_flag=True, help="gptq rounds inputs in their own order."),
    click.option(
        "--journal",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder in which gptq and mixed precision keep finished layers, so that a killed export continues.",
    ),
)
_MIXING = (
    click.option(
        "--budget-per",
        "budget_points",
        type=click.FloatRange(0),
        metavar="POINTS",
        help="…-mixed: the smallest artifact that loses at most this many points (hundredths) of the error rate.  "
        "[default: 0.1]",
    ),
    click.option(
        "--budget-size",
        "budget_bytes",
        callback=size_in_bytes,
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
_SECONDS = click.FloatRange(0, min_open=True)
_TENSORRT = (
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
    click.option("--min-seconds", type=_SECONDS, metavar="S", help="Shortest clip.  [default: 0.02]"),
    click.option("--opt-seconds", type=_SECONDS, metavar="S", help="Clip to tune for.  [default: 10]"),
    click.option(
        "--max-seconds",
        type=_SECONDS,
        metavar="S",
        help="Longest clip; longer recordings go through in windows.  [default: 30]",
    ),
    click.option("--max-batch", type=click.IntRange(1), metavar="N", help="Clips per batch.  [default: 8]"),
    click.option(
        "--workspace",
        "workspace_bytes",
        callback=size_in_bytes,
        metavar="SIZE",
        help="Device memory beside the weights, as 4GB.",
    ),
    click.option("--onnx-only", is_flag=True, help="Stop at the typed ONNX graph; the manifest says how to build it."),
)
_TENSORRT_NAMES = tuple(field.name for field in fields(TensorRTOptions))

request_options = together((*_AUDIO, *_QUANTIZATION, *_MIXING, *_TENSORRT))
"""Adds them to a command, which gets them as keywords."""


def request(given: dict[str, Any], *, model: str, target: str, method: str | None) -> Request:
    """The request that the options make up; None and unset flags mean that nothing was requested."""
    engine = {name: given[name] for name in _TENSORRT_NAMES if given[name] not in (None, False, ())}
    return Request(
        model=model,
        target=target,
        method=method,
        calibration=CalibrationRequest(source=given["calibration"], clips=given["calibration_clips"]),
        verification=VerificationRequest(source=given["verification"]),
        quantization=QuantizationRequest(
            observer=given["observer"],
            percentile=given["percentile"],
            strength=given["strength"],
            exclude=given["exclude"],
            group_size=given["group_size"],
            symmetric=given["symmetric"],
            bits_budget=given["bits_budget"],
            damping=given["damping"],
            activation_order=False if given["no_activation_order"] else None,
            journal=given["journal"],
        ),
        mixing=MixingRequest(
            budget_points=given["budget_points"],
            budget_bytes=given["budget_bytes"],
            precision_map=given["precision_map"],
        ),
        engine=TensorRTOptions(**engine) if engine else None,
        revision=given["revision"],
        offline=given["offline"],
    )
