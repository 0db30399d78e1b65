"""Targets of OpenVINO's CPU plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...quantizers import WeightScheme
from ..onnx.targets import GRAPH_LIBRARIES
from ..target import Layers, Target

_RUNS_ON = "OpenVINO: x86 and ARM CPUs"
_LOW_BIT = ("gptq", "awq", "mse", "rtn")
# 4 bits on disk, multiplied as the 8-bit integers that they stand for.
_TWO_LEVEL = Layers(weight=WeightScheme(4, group_size=64, two_level=True), activation="static")


@dataclass(frozen=True, kw_only=True)
class OpenVinoTarget(Target):
    """``hint``: the type in which the plugin computes float operators."""

    engine: str = "openvino"
    libraries: tuple[str, ...] = (*GRAPH_LIBRARIES, "openvino")
    hint: Literal["fp32", "bf16"] = "bf16"

    @property
    def execution(self) -> Mapping[str, str]:
        """The precision hint."""
        return {"precision": self.hint}

    @property
    def rounds_to_bf16(self) -> bool:
        """With the hint bf16."""
        return self.hint == "bf16"


TARGETS = (
    OpenVinoTarget(
        name="openvino-fp16",
        precision="fp16",
        storage="float16",
        hint="fp32",
        runs_on=f"{_RUNS_ON}, which compute in fp32",
    ),
    OpenVinoTarget(name="openvino-bf16", precision="bf16", storage="float16", runs_on=f"{_RUNS_ON} with bf16"),
    OpenVinoTarget(
        name="openvino-int8",
        precision="int8",
        methods=("static", "smoothquant"),
        tolerance=1e-2,
        runs_on=f"{_RUNS_ON} with VNNI and bf16",
    ),
    OpenVinoTarget(
        name="openvino-int8-weights", precision="int8-weights", methods=("rtn",), runs_on=f"{_RUNS_ON} with bf16"
    ),
    OpenVinoTarget(
        name="openvino-int4",
        precision="int4",
        methods=_LOW_BIT,
        layers=Layers(weight=WeightScheme(4, symmetric=False, group_size=64), activation="grouped"),
        storage="float16",
        tolerance=1e-2,
        runs_on=f"{_RUNS_ON} with bf16",
    ),
    OpenVinoTarget(
        name="openvino-int2",
        precision="int2",
        methods=_LOW_BIT,
        layers=Layers(weight=WeightScheme(2, symmetric=False, group_size=64)),
        storage="float16",
        runs_on=f"{_RUNS_ON} with bf16",
    ),
    OpenVinoTarget(
        name="openvino-w4a8",
        precision="w4a8",
        methods=_LOW_BIT,
        layers=_TWO_LEVEL,
        tolerance=1e-2,
        runs_on=f"{_RUNS_ON} with VNNI and bf16",
    ),
    OpenVinoTarget(
        name="openvino-mixed",
        precision="mixed",
        methods=("sensitivity", "map"),
        formats=("bf16", "int8", "int4"),
        layers=_TWO_LEVEL,
        storage="float16",
        tolerance=1e-2,
        runs_on=f"{_RUNS_ON} with VNNI and bf16",
    ),
)
