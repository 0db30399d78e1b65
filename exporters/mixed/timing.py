"""How long one Linear of each format takes in an engine on this machine, in the layout that its writer uses."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from ...quantizers import ActivationScheme, Scheme, WeightScheme
from ...quantizers.layers.grid import by_range
from ...quantizers.layers.grouped import GroupedLinear
from ...quantizers.layers.quantized import StaticLinear
from ...quantizers.search.formats import BITS
from ...quantizers.search.ledger import Ledger
from ...version import version_of
from ..target import Target

ALGORITHM_VERSION = 1
"""Times of another version are measured again."""

FRAMES = 250
"""Rows of the product: 5 s of audio at 50 frames a second."""

_RUNS = 7


def linear_seconds(
    target: Target, weight: WeightScheme, outputs: int, inputs: int, layer_format: str, folder: Path
) -> float | None:
    """Median seconds of a product of 250 rows; kept in ``folder``. None for engines that this machine cannot time."""
    engine = target.costs()
    library = engine.library()
    if not library:
        return None
    ledger = _ledger(folder, target.name, f"{library} {version_of(library)}")
    grouped = _is_grouped(weight, layer_format)
    groups = f" {weight.group_size} {weight.symmetric}" if grouped else ""
    key = f"{outputs} {inputs} {layer_format}{groups}"
    known = ledger.get(key)
    if known is None:
        layer = _layer(target, weight, nn.Linear(inputs, outputs), layer_format)
        known = engine.seconds(target, layer.eval().requires_grad_(False), torch.randn(1, FRAMES, inputs))
        ledger.put(key, known)
    return None if known is None else float(known)


def median_seconds(run: Callable[[], Any]) -> float:
    """Of repeated calls, after one that is not counted."""
    run()
    return median(_seconds(run) for _ in range(_RUNS))


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@cache
def _ledger(folder: Path, target: str, library: str) -> Ledger:
    machine = (platform.platform(), _processor(), str(os.cpu_count()))
    return Ledger(folder / "seconds", (f"timing {ALGORITHM_VERSION}", *machine, target, library))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _is_grouped(weight: WeightScheme, layer_format: str) -> bool:
    """Whether weights have groups in the engine; those of two levels are multiplied out to 8 bits."""
    return BITS.get(layer_format, 16) < 8 and not weight.two_level


def _layer(target: Target, weight: WeightScheme, linear: nn.Linear, layer_format: str) -> nn.Module:
    """Random weights: speed does not depend on their values."""
    if _is_grouped(weight, layer_format):
        scheme = WeightScheme(BITS[layer_format], weight.symmetric, weight.group_size)
        grid = by_range(linear.weight, scheme)
        codes = grid.codes(linear.weight.detach(), scheme.bits)
        layer = GroupedLinear(codes, grid.scale, grid.zero_point, linear.bias, scheme)
        layer.scheme = Scheme(scheme, ActivationScheme(target.layers.activation))
        return layer
    return linear if layer_format == target.formats[0] else StaticLinear(linear, (-4.0, 4.0))
