"""What a user can request of an export. Fields are None where nothing was requested, so that the target decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

SENSITIVITY, MAP = "sensitivity", "map"
"""The two methods of targets called …-mixed."""

_NAMES = {
    "calibration.source": "--calibration",
    "calibration.clips": "--calibration-clips",
    "quantization.activation_order": "--no-activation-order",
    "mixing.budget_points": "--budget-per",
    "mixing.budget_bytes": "--budget-size",
    "engine.compute_capabilities": "--compute-capability",
    "engine.workspace_bytes": "--workspace",
}


@dataclass(frozen=True, kw_only=True)
class CalibrationRequest:
    """The audio that fixes activation ranges and low-bit weights."""

    source: Path | None = None
    """JSON lines or folder of audio; None: the bundled set, for models that come with qasr."""
    clips: int | None = None
    """How many, evenly spread.  [default: 64]"""
    seconds: float | None = None
    """Of longer clips only the first seconds are used.  [default: 20]"""


@dataclass(frozen=True, kw_only=True)
class VerificationRequest:
    """The audio on which the artifact is compared with its torch model."""

    source: Path | None = None
    """JSON lines or folder of audio; None: the bundled evaluation set."""
    clips: int = 8


@dataclass(frozen=True, kw_only=True)
class QuantizationRequest:
    """How weights and inputs are rounded, where the target and its method leave a choice."""

    observer: str | None = None
    """``minmax``, ``percentile`` or ``mse``: how ranges are fixed.  [default: minmax]"""
    percentile: float | None = None
    """Of the observer ``percentile``.  [default: 99.99]"""
    strength: float | None = None
    """Of smoothquant, 0 to 1; None searches it by layer."""
    exclude: tuple[str, ...] = ()
    """Globs of layers left in float, beside those that the model family leaves in float."""
    group_size: int | None = None
    """Overrides the target's group size."""
    symmetric: bool | None = None
    """Whether low-bit weights have no zero points; None: they have them where the target can hold them."""
    bits_budget: float | None = None
    """Mean bits per weight of 2-bit targets: the layers that lose most get 4 bits."""
    damping: float | None = None
    """Of gptq.  [default: 0.01]"""
    activation_order: bool | None = None
    """Of gptq: False keeps the inputs' own order."""
    journal: Path | None = None
    """Folder for finished layers and measurements, so that a killed export continues."""


@dataclass(frozen=True, kw_only=True)
class MixingRequest:
    """What decides the format of each layer of targets called …-mixed: one of these, or the default budget."""

    budget_points: float | None = None
    """The smallest artifact that loses at most this much of the first level's error rate.  [default: 0.1 points]"""
    budget_bytes: int | None = None
    """The most accurate artifact that is not larger."""
    precision_map: str | None = None
    """A preset, or the path of a YAML file that maps globs of layers to formats."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that an export can be asked for, apart from where to write it."""

    target: str
    model: str = "reference"
    """Hub id, checkpoint folder, or the name of a built-in model."""
    method: str | None = None
    calibration: CalibrationRequest = CalibrationRequest()
    verification: VerificationRequest = VerificationRequest()
    quantization: QuantizationRequest = QuantizationRequest()
    mixing: MixingRequest = MixingRequest()
    engine: Any = None
    """The options record of the target's engine (``Target.options_type``), or None for its defaults."""
    revision: str | None = None
    """Branch, tag or commit on the Hub."""
    offline: bool = False


def given(part: Any, group: str) -> Iterator[tuple[str, str, Any]]:
    """(field, option as the command line names it, value) of every field of ``part`` that was requested."""
    for field in fields(part):
        value = getattr(part, field.name)
        if value is None or value == ():
            continue
        option = _NAMES.get(f"{group}.{field.name}", f"--{field.name.replace('_', '-')}")
        if field.name == "symmetric" and value is False:
            option = "--asymmetric"
        yield field.name, option, value
