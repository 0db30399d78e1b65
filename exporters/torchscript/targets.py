"""Targets of TorchScript, by the kernels that they run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..target import TORCH, Layers, Target


@dataclass(frozen=True, kw_only=True)
class TorchScriptTarget(Target):
    """``kernels``: torch's quantized engine."""

    engine: str = "torchscript"
    precision: str = "int8"
    libraries: tuple[str, ...] = TORCH
    methods: tuple[str, ...] = ("dynamic", "static", "smoothquant")
    tolerance: float = 1e-2
    kernels: Literal["fbgemm", "qnnpack"]

    @property
    def execution(self) -> Mapping[str, str]:
        """The quantized engine, which the file does not name."""
        return {"quantized_engine": self.kernels}


TARGETS = (
    TorchScriptTarget(name="torchscript-fbgemm", kernels="fbgemm", runs_on="torch: x86 CPUs"),
    TorchScriptTarget(
        name="torchscript-qnnpack",
        kernels="qnnpack",
        layers=Layers(outputs=True),
        runs_on="torch: ARM CPUs; slow on x86",
    ),
)
