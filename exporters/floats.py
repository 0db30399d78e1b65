"""What an engine really computes floats in, as its executed kernels say."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import ExportError
from .target import Target

_STORED = {"float16": "fp16", "float32": "fp32"}


def executed(goal: Target, kernels: Mapping[str, int]) -> dict[str, str]:
    """An entry for the manifest's ``execution``; nothing for targets that mix no floats with integers.

    Raises ExportError where bf16 was asked for and no kernel took it.
    """
    autocast = goal.execution.get("autocast")
    if not goal.formats and autocast is None:
        return {}
    computed = _computed(kernels)
    asked = autocast or goal.execution.get("precision", computed)
    if asked != computed:
        raise ExportError(f"{goal.name}: floats were to be computed in {asked}, but the engine executed {computed}")
    return {"floats": f"stored in {_STORED[goal.storage]}, computed in {computed}"}


def _computed(kernels: Mapping[str, int]) -> str:
    if any(name.endswith(("_bf16", ".bfloat16")) for name in kernels):
        return "bf16"
    half = any(name.endswith(".float16") or name.startswith("product half") for name in kernels)
    return "fp16" if half else "fp32"
