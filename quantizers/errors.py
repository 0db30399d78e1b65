"""Errors of quantization."""

from __future__ import annotations

from ..errors import QasrError


class QuantizationError(QasrError):
    """Options or data that a method cannot work with."""


class TooFewFramesError(QuantizationError):
    """Too little calibration audio for the Hessian of a layer."""
