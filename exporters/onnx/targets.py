"""Targets of ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

from ...quantizers import WeightScheme
from ..target import TORCH, Layers, Target

GRAPH_LIBRARIES = (*TORCH, "onnx", "onnxscript")
"""What makes an ONNX graph."""

_ANY_CPU = "ONNX Runtime: any CPU, CUDA"
_LOW_BIT = ("gptq", "awq", "mse", "rtn", "hqq")


@dataclass(frozen=True, kw_only=True)
class OnnxTarget(Target):
    """Float weights are stored as ``storage`` and widened when the model is loaded."""

    engine: str = "onnx"
    libraries: tuple[str, ...] = (*GRAPH_LIBRARIES, "onnxruntime")


def _grouped(bits: int) -> Layers:
    return Layers(weight=WeightScheme(bits, symmetric=False, group_size=64), activation="grouped")


# The tolerance of INT8 rows is the least that is allowed: a deep model is allowed its own rounding noise, see
# ``verify.tolerance``.
TARGETS = (
    OnnxTarget(name="onnx-fp32", precision="fp32", runs_on=_ANY_CPU),
    # ONNX Runtime and torch round to fp16 at different points of the graph.
    OnnxTarget(
        name="onnx-fp16",
        precision="fp16",
        dtype="float16",
        tolerance=2e-2,
        runs_on="ONNX Runtime: CUDA; on CPUs it computes in fp32",
    ),
    OnnxTarget(
        name="onnx-int8",
        precision="int8",
        methods=("static", "dynamic", "smoothquant"),
        tolerance=1e-2,
        runs_on="ONNX Runtime: CPUs with VNNI or NEON dot products, CUDA",
    ),
    *(
        OnnxTarget(
            name=f"onnx-int{bits}",
            precision=f"int{bits}",
            methods=_LOW_BIT,
            layers=_grouped(bits),
            tolerance=1e-2,
            runs_on=_ANY_CPU,
        )
        for bits in (4, 2)
    ),
    # ONNX Runtime's CPU kernels widen FP16, on ARM and x86, so it is only how floats are stored.
    OnnxTarget(
        name="onnx-mixed",
        precision="mixed",
        methods=("sensitivity", "map"),
        formats=("fp16", "int8", "int4", "int2"),
        layers=_grouped(8),
        storage="float16",
        tolerance=1e-2,
        runs_on=_ANY_CPU,
    ),
)
