"""The manifest of an export."""

from __future__ import annotations

import platform
from typing import Any

from torch import nn

from ..artifacts import Calibration, InputLimits, Manifest, Precision, Source
from ..models import Checkpoint, CTCModel
from ..quantizers.calibration import CalibrationSet
from ..quantizers.layers.quantized import Quantized
from ..version import __version__, version_of
from .plan import Plan
from .target import Target

_TOOLCHAIN = ("torch", "transformers", "numpy")


def describe(
    plan: Plan,
    checkpoint: Checkpoint,
    model: CTCModel,
    source: Source,
    *,
    method: str | None,
    options: dict[str, Any],
    calibration: CalibrationSet | None,
    limits: InputLimits,
    precision: Precision,
    input_groups: dict[str, str],
) -> Manifest:
    """The manifest of an artifact that has been written and not yet verified.

    ``options``: what shaped the quantized layers; their ``observer``, where a library has its own, is the
    calibration's.
    """
    target = plan.target
    compiler = target.compiler()
    options = dict(options)
    observer = options.pop("observer", str(plan.quantization.ranges))
    return Manifest(
        qasr_version=__version__,
        target=target.name,
        engine=target.engine if compiler is None else compiler.graph_engine,
        method=method,
        source=source,
        precision=precision,
        levels=checkpoint.levels,
        front_end=model.front_end,
        frame_rate_hz=model.frames_per_second,
        strides=list(model.strides),
        limits=limits,
        calibration=None if calibration is None else _calibration(calibration, observer),
        options=options,
        execution={**target.execution, **input_groups},
        toolchain=_toolchain(target),
    )


def input_groups(model: nn.Module) -> dict[str, str]:
    """How the engine has to be set up where it rounds inputs group by group."""
    schemes = [layer.scheme for layer in model.modules() if isinstance(layer, Quantized)]
    sizes = {scheme.weight.group_size for scheme in schemes if scheme.activation.mode == "grouped"}
    return {"input_group_size": str(sizes.pop())} if sizes else {}


def _calibration(calibration: CalibrationSet, observer: str) -> Calibration:
    return Calibration(calibration.name, calibration.sha256, calibration.clips, calibration.seconds, observer)


def _toolchain(target: Target) -> dict[str, str]:
    libraries = dict.fromkeys((*_TOOLCHAIN, *target.libraries))
    return {"python": platform.python_version(), **{name: version_of(name) for name in libraries}}
