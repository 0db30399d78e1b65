"""Quantization methods and the schemes of quantized layers. Importing this needs no torch; ``apply`` does the work."""

from __future__ import annotations

from .errors import QuantizationError, TooFewFramesError
from .options import OBSERVERS, GPTQOptions, Quantization, Ranges, SmoothQuantOptions
from .scheme import INT8, ActivationScheme, Scheme, WeightScheme
from .table import TECHNIQUES, Technique

__all__ = [
    "INT8",
    "OBSERVERS",
    "TECHNIQUES",
    "ActivationScheme",
    "GPTQOptions",
    "Quantization",
    "QuantizationError",
    "Ranges",
    "Scheme",
    "SmoothQuantOptions",
    "Technique",
    "TooFewFramesError",
    "WeightScheme",
]
