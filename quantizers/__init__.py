"""Techniques: a deployable model in, the same model with layers that carry quantization schemes out."""

from __future__ import annotations

from .dynamic import dynamic
from .inc import inc
from .linear import DynamicLinear, Quantized, StaticLinear, WeightOnlyLinear
from .rtn import rtn
from .scheme import ActivationScheme, Scheme, WeightScheme
from .smoothquant import smoothquant
from .static import OBSERVERS, static
from .technique import CalibrationSet, Options, QuantizationError, Technique

TECHNIQUES: dict[str, Technique] = {
    "dynamic": dynamic,
    "static": static,
    "smoothquant": smoothquant,
    "rtn": rtn,
    "inc": inc,
}
"""The table of techniques, by the name that ``--method`` takes."""

NEED_CALIBRATION = frozenset({"static", "smoothquant", "inc"})

__all__ = [
    "NEED_CALIBRATION",
    "OBSERVERS",
    "TECHNIQUES",
    "ActivationScheme",
    "CalibrationSet",
    "DynamicLinear",
    "Options",
    "QuantizationError",
    "Quantized",
    "Scheme",
    "StaticLinear",
    "Technique",
    "WeightOnlyLinear",
    "WeightScheme",
]
