"""An artifact, loaded in a fresh process, against the torch model that it was made from and against fp32."""

from __future__ import annotations

from .achieved import achieved, float_execution
from .bf16 import in_bf16
from .compare import compare, fidelity, relative_error, tolerance
from .probe import Logits, Probe, make_probe, run_artifact, run_torch

__all__ = [
    "Logits",
    "Probe",
    "achieved",
    "compare",
    "fidelity",
    "float_execution",
    "in_bf16",
    "make_probe",
    "relative_error",
    "run_artifact",
    "run_torch",
    "tolerance",
]
