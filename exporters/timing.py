"""How long one Linear of each format lasts in an engine on this machine, as the exporter writes it."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from ..quantizers import GroupedLinear, StaticLinear, WeightScheme
from ..quantizers.layers.grid import by_range
from ..quantizers.scheme import ActivationScheme, Scheme
from ..quantizers.search import BITS
from ..quantizers.search.ledger import Ledger
from ..version import version_of
from .onnx import writer as onnx
from .onnx.packing import PackedLinear
from .onnx.translation import KernelLinear
from .target import Target

FRAMES = 250
"""Rows of the product: 5 s of audio."""

_RUNS = 7
_LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino"}


def linear_seconds(
    goal: Target, outputs: int, inputs: int, form: str, group_size: int, symmetric: bool, folder: Path
) -> float | None:
    """Median seconds of a product of 250 rows; kept in ``folder``. None for engines that this machine cannot time."""
    library = _LIBRARIES.get(goal.engine)
    if library is None:
        return None
    ledger = _ledger(folder, goal.name, f"{library} {version_of(library)}")
    grouped = f" {group_size} {symmetric}" if _is_grouped(goal, form) else ""
    key = f"{outputs} {inputs} {form}{grouped}"
    known = ledger.get(key)
    if known is None:
        known = _measure(goal, _layer(goal, nn.Linear(inputs, outputs), form, group_size, symmetric), inputs)
        ledger.put(key, known)
    return float(known)


@cache
def _ledger(folder: Path, target: str, library: str) -> Ledger:
    return Ledger(folder / "seconds", (platform.platform(), _processor(), str(os.cpu_count()), target, library))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _is_grouped(goal: Target, form: str) -> bool:
    """Whether weights lie in groups there; those of two levels are multiplied out to 8 bits."""
    return BITS.get(form, 16) < 8 and not goal.two_level


def _layer(goal: Target, linear: nn.Linear, form: str, group_size: int, symmetric: bool) -> nn.Module:
    """Random weights: speed does not depend on their values."""
    if _is_grouped(goal, form):
        scheme = WeightScheme(BITS[form], symmetric, group_size)
        grid = by_range(linear.weight, scheme)
        layer = GroupedLinear(
            grid.codes(linear.weight.detach(), scheme.bits), grid.scale, grid.zero_point, linear.bias, scheme
        )
        layer.scheme = Scheme(scheme, ActivationScheme(goal.activation))
        return PackedLinear(layer)
    return KernelLinear(linear) if form == goal.formats[0] else StaticLinear(linear, (-4.0, 4.0))


def _measure(goal: Target, layer: nn.Module, inputs: int) -> float:
    rows = torch.randn(1, FRAMES, inputs)
    with tempfile.TemporaryDirectory(prefix="qasr-") as scratch:
        path = Path(scratch) / "layer.onnx"
        onnx.export_layer(layer.eval().requires_grad_(False), rows, path)
        run = _onnx(path, rows.numpy()) if goal.engine == "onnx" else _openvino(path, rows.numpy(), goal)
        run()
        return median(_seconds(run) for _ in range(_RUNS))


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _onnx(path: Path, rows: np.ndarray[Any, Any]) -> Callable[[], Any]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: rows})


def _openvino(path: Path, rows: np.ndarray[Any, Any], goal: Target) -> Callable[[], Any]:
    import openvino as ov

    from .openvino import rewrites as openvino_rewrites

    core = ov.Core()
    model = core.read_model(path)
    openvino_rewrites.weights_by_output(model)
    hint = {"bf16": "bf16"}.get(goal.execution.get("precision", "fp32"), "f32")
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    )
    return lambda: compiled([rows])
