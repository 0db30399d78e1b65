"""From a checkpoint to a verified artifact: ``pipeline.export(request, output)`` does it all.

The table of targets and the resolution of requests need no torch; ``pipeline`` does.
"""

from __future__ import annotations

from .errors import ExportError, IdleOptionError, MethodError, ParityError, RequestError, UnknownTargetError
from .plan import Plan, resolve
from .request import CalibrationRequest, MixingRequest, QuantizationRequest, Request, VerificationRequest
from .target import Target
from .targets import TARGETS, find

__all__ = [
    "TARGETS",
    "CalibrationRequest",
    "ExportError",
    "IdleOptionError",
    "MethodError",
    "MixingRequest",
    "ParityError",
    "Plan",
    "QuantizationRequest",
    "Request",
    "RequestError",
    "Target",
    "UnknownTargetError",
    "VerificationRequest",
    "find",
    "resolve",
]
