"""What an engine really executed, as it reports it: integer kernels, and the type of float operators."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ...artifacts import Precision
from ..errors import ExportError
from ..target import Target, Writer

_STORED = {"float16": "fp16", "float32": "fp32"}


def achieved(target: Target, writer: Writer, precision: Precision, kernels: dict[str, int]) -> Precision:
    """``precision`` with the executed ``kernels``. Raises ExportError where a quantized layer ran in float."""
    integer = writer.integer_kernels(kernels)
    if integer < precision.quantized_layers:
        raise ExportError(
            f"{target.name}: the engine executed {integer} kernels with integer weights for "
            f"{precision.quantized_layers} quantized layers ({', '.join(kernels)}); the rest ran in float"
        )
    return msgspec.structs.replace(precision, kernels=kernels, integer_kernels=integer)


def float_execution(target: Target, kernels: Mapping[str, int]) -> dict[str, str]:
    """An entry for the manifest's ``execution``; empty for targets that do not mix floats with integers.

    Raises ExportError where bf16 was requested and no kernel computed in it.
    """
    autocast = target.execution.get("autocast")
    if not target.formats and autocast is None:
        return {}
    computed = _computed(kernels)
    requested = autocast or target.execution.get("precision", computed)
    if requested != computed:
        raise ExportError(
            f"{target.name}: floats were to be computed in {requested}, but the engine executed {computed}"
        )
    return {"floats": f"stored in {_STORED[target.storage]}, computed in {computed}"}


def _computed(kernels: Mapping[str, int]) -> str:
    if any(name.endswith(("_bf16", ".bfloat16")) for name in kernels):
        return "bf16"
    half = any(name.endswith(".float16") or name.startswith("product half") for name in kernels)
    return "fp16" if half else "fp32"
