"""Quantizing a deployable model in place by any method of the table."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..models import CTCModel
from .calibration import CalibrationSet, Work
from .layers.rewrite import check_groups, quantizable
from .options import Quantization
from .search.budget import bits_within_budget
from .table import TECHNIQUES
from .techniques.inputs import round_inputs

Apply = Callable[[CTCModel, Quantization, Work], Any]
"""Replaces layers of the model in place. Returns the method's notes, a frozen dataclass, or None."""


def quantize(method: str, model: CTCModel, quantization: Quantization, work: Work) -> dict[str, Any]:
    """Quantize ``model`` in place, within the budget of bits, and round inputs as ``quantization.activation`` requires.

    Returns the manifest's ``options`` as plain JSON: the excluded layers, the weight scheme, and what the method
    chose. Raises QuantizationError where the options or the data do not serve.
    """
    options: dict[str, Any] = {"exclude": list(quantization.exclude), "weights": str(quantization.weight)}
    bits = bits_within_budget(model, quantization, work)
    if bits is not None:
        quantization = replace(quantization, bits_by_layer=bits)
        options["bits"] = bits
    notes = technique(method)(model, quantization, work)
    round_inputs(model, quantization, work.calibration)
    return options | ({} if notes is None else dataclasses.asdict(notes))


def check(method: str, model: CTCModel, quantization: Quantization, calibration: CalibrationSet | None) -> None:
    """Raise the QuantizationError that ``quantize`` would raise for these layers and data, before any work."""
    check_groups(quantizable(model, quantization.exclude), quantization.weight)
    row = TECHNIQUES[method]
    if row.check is not None:
        _module(method).__dict__[row.check](model, quantization, calibration)


def technique(method: str) -> Apply:
    """The function of the method alone, without a budget of bits and without the rounding of inputs."""
    function: Apply = _module(method).__dict__[TECHNIQUES[method].function]
    return function


def _module(method: str) -> Any:
    return importlib.import_module(f".{TECHNIQUES[method].module}", __package__)
