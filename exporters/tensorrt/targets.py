"""Targets of TensorRT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ...quantizers import INT8
from ..onnx.targets import GRAPH_LIBRARIES
from ..target import Compiler, Layers, Target
from .options import TensorRTOptions

_INT8 = Layers(symmetric_inputs=True)
_FP8 = Layers(weight=replace(INT8, values="e4m3"), symmetric_inputs=True)


@dataclass(frozen=True, kw_only=True)
class TensorRTTarget(Target):
    """The typed graph is verified with ONNX Runtime, then compiled."""

    engine: str = "tensorrt"
    libraries: tuple[str, ...] = (*GRAPH_LIBRARIES, "onnxruntime")
    storage: Literal["float32", "float16"] = "float16"
    tolerance: float = 2e-2
    fp8: bool = False

    @property
    def options_type(self) -> type:
        """TensorRT's build options."""
        return TensorRTOptions

    def compiler(self) -> Compiler:
        """TensorRT, or TensorRT-RTX."""
        compiler: Compiler = self._module("compiler")
        return compiler


TARGETS = (
    TensorRTTarget(name="tensorrt-fp16", precision="fp16", runs_on="NVIDIA GPUs: all"),
    TensorRTTarget(
        name="tensorrt-int8",
        precision="int8",
        methods=("static", "smoothquant"),
        layers=_INT8,
        runs_on="NVIDIA GPUs: all since Turing",
    ),
    TensorRTTarget(
        name="tensorrt-fp8",
        precision="fp8",
        methods=("static",),
        layers=_FP8,
        fp8=True,
        runs_on="NVIDIA GPUs: compute capability 8.9 and later",
    ),
    TensorRTTarget(
        name="tensorrt-mixed",
        precision="mixed",
        methods=("sensitivity", "map"),
        formats=("fp16", "int8"),
        layers=_INT8,
        runs_on="NVIDIA GPUs: all since Turing",
    ),
)
