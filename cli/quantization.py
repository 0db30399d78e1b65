"""The options of ``qexport`` that say how weights and inputs are rounded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exporters import Target
from .common import group_size_option, refuse_idle, together

if TYPE_CHECKING:
    from ..quantizers import Options

_OPTIONS = (
    click.option("--observer", type=click.Choice(["minmax", "percentile", "mse"]), default="minmax", show_default=True),
    click.option("--percentile", type=click.FloatRange(50, 100, min_open=True), default=99.99, show_default=True),
    click.option(
        "--strength",
        type=click.FloatRange(0, 1),
        help="How much smoothquant moves from activations into weights.  [default: searched for each layer]",
    ),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Layers left in float, beside the first and last."),
    group_size_option("Inputs that share a scale, for weights of 4 and 2 bits.  [default: 64]"),
    click.option(
        "--symmetric/--asymmetric",
        default=None,
        help="Without or with zero points, for weights of 4 and 2 bits.  [default: with, where the target has them]",
    ),
    click.option(
        "--bits-budget",
        type=click.FloatRange(2, 4),
        help="Bits a weight in the mean: the layers of a 2-bit target that lose most get 4 bits.",
    ),
    click.option("--damping", type=click.FloatRange(0, 1, min_open=True), help="Of gptq's Hessians.  [default: 0.01]"),
    click.option("--no-activation-order", is_flag=True, help="gptq rounds inputs in their own order."),
    click.option(
        "--journal",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder in which gptq and mixed precision keep what is finished, so that a killed export goes on there.",
    ),
)


quantization_options = together(_OPTIONS)
"""Adds them to a command, which gets them as keywords."""


def check(target: Target, technique: str | None, given: dict[str, Any]) -> None:
    """Raise click.UsageError for an option that would do nothing."""
    few_bits = target.group_size is not None  # where a library forms the groups, there is nothing to choose
    gptq = technique == "gptq" or target.formats != ()
    applies = {
        "strength": (technique == "smoothquant", "--method smoothquant"),
        "group_size": (few_bits, "targets of 4 and 2 bits, other than quanto's,"),
        "symmetric": (few_bits and not target.symmetric, "targets of 4 and 2 bits that have zero points"),
        "bits_budget": (few_bits and target.bits == 2, "targets of 2 bits, other than quanto's,"),
        "damping": (gptq, "--method gptq and targets called …-mixed"),
        "no_activation_order": (gptq, "--method gptq and targets called …-mixed"),
        "journal": (gptq, "--method gptq and targets called …-mixed"),
    }
    if given["symmetric"] is False and not few_bits:
        raise click.UsageError("--asymmetric is for targets of 4 and 2 bits, other than quanto's, alone")
    refuse_idle(given, applies)


def options(given: dict[str, Any]) -> Options:
    """What techniques are told."""
    from ..quantizers import Options

    defaults = Options()
    return Options(
        observer=given["observer"],
        percentile=given["percentile"],
        strength=given["strength"],
        exclude=(*defaults.exclude, *given["exclude"]),
        group_size=given["group_size"],
        symmetric=given["symmetric"],
        bits_budget=given["bits_budget"],
        damping=defaults.damping if given["damping"] is None else given["damping"],
        activation_order=not given["no_activation_order"],
        journal=given["journal"],
    )
